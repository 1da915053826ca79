#!/usr/bin/env bash
# Installs Slack's Python client into a virtual environment in the cache, once, and prints the
# path of its Python.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${COMMENTATOR_CACHE:-$here/../../../../.cache}
command -v python3 >/dev/null || {
	echo "python.sh: python3 is not there. On Debian and Ubuntu: apt install python3 python3-venv." >&2
	exit 1
}
# Named after what is in it, so that another version is another environment.
digest=$({ cat "$here/requirements.txt" && python3 --version; } | sha256sum | cut -c1-12)
home=$cache/slack-python-$digest
mkdir -p "$cache"
exec 9>"$home.lock"
flock 9
if [ ! -e "$home/complete" ]; then # written last: half an installation is made anew
	rm -rf "$home"
	python3 -m venv "$home" >&2
	"$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile -r "$here/requirements.txt" >&2
	: >"$home/complete"
fi
echo "$home/bin/python"
