#!/usr/bin/env bash
# Installs what a test in Python needs into a virtual environment in the cache, once, and prints
# the path of its Python.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: scripts/python_env.sh NAME REQUIREMENTS

Installs the packages of a file of requirements into a virtual environment, once, and prints
the path of its Python. The environment's name begins with NAME.

  COMMENTATOR_CACHE  where it is installed  .cache in the checkout
TEXT
}

case ${1:-} in
--help | -h)
	usage
	exit 0
	;;
esac
if [ $# -ne 2 ] || [ ! -f "$2" ]; then
	usage >&2
	[ $# -ne 2 ] || echo "python_env: there is no file $2." >&2
	exit 2
fi
name=$1 requirements=$2
cache=${COMMENTATOR_CACHE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.cache}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac # whoever asks is in another folder
command -v python3 >/dev/null || {
	echo "python_env: python3 is not there. On Debian and Ubuntu: apt install python3 python3-venv." >&2
	exit 1
}
# Named after what is in it, so that another version is another environment.
digest=$({ cat "$requirements" && python3 --version; } | sha256sum | cut -c1-12)
home=$cache/$name-$digest
mkdir -p "$cache"
exec 9>"$home.lock"
flock 9
if [ ! -e "$home/complete" ]; then # written last: half an installation is made anew
	rm -rf "$home"
	python3 -m venv "$home" >&2
	"$home/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
	: >"$home/complete"
fi
echo "$home/bin/python"
