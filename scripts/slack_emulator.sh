#!/usr/bin/env bash
# An emulator of Slack that others wrote (npm `emulate`, Apache-2.0), in the cache, with the
# Node that it needs. The tests of `make contract-slack` start it.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: scripts/slack_emulator.sh --install

  --install  see to the programs, once, and print their folder

It needs npm. Node itself (24) comes as a package: the emulator asks for 22 or later.

  COMMENTATOR_CACHE  where it is installed  .cache in the checkout
TEXT
}

# Always by version: the newest emulate is another program of that name.
emulate=0.12.2
node=24.9.0

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${COMMENTATOR_CACHE:-$root/.cache}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac # it is read in other folders too
dir=$cache/slack-emulator-$emulate-$node

say() { printf '%s\n' "$*" >&2; }

install() {
	mkdir -p "$cache"
	(
		flock 9
		[ ! -e "$dir/installed" ] || exit 0
		command -v npm >/dev/null || {
			say "slack_emulator: npm is not there: install it."
			exit 1
		}
		say "Installing the Slack emulator into $dir, once …"
		rm -rf "$dir"
		mkdir -p "$dir"
		printf '{"private":true}\n' >"$dir/package.json"
		npm install --prefix "$dir" --no-audit --no-fund --loglevel=error "emulate@$emulate" "node@$node" >&2
		"$dir/node_modules/node/bin/node" --version >&2
		touch "$dir/installed"
	) 9>"$dir.lock"
}

case ${1:-} in
--install)
	install
	printf '%s\n' "$dir"
	;;
--help | -h) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
