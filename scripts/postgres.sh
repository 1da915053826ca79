#!/usr/bin/env bash
# A PostgreSQL of its own for MLflow in tests and benchmarks, without root and without a
# service of the machine.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: scripts/postgres.sh --start | --database NAME | --stop | --install-only

  --start          start it if it is not running, and print its address for MLflow
  --database NAME  make an empty database, dropping an older one, and print its address
  --stop           end it and remove its data
  --install-only   only see to the programs

The programs are those of the machine or, if there are none, those of the Debian package,
unpacked into the cache. It listens on 127.0.0.1; its socket and its
data lie in POSTGRES_DIR. What it stores does not survive a crash of the machine unless
POSTGRES_FSYNC is on. PostgreSQL refuses to run as root: started by root it runs as nobody.

  POSTGRES_DIR       data, socket and log     postgres in the cache
  POSTGRES_PORT      port                     one that is free
  POSTGRES_FSYNC     on or off                on
  POSTGRES_PROGRAMS  those of the machine     /usr/lib/postgresql
  COMMENTATOR_CACHE  where it is unpacked     .cache in the checkout
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${COMMENTATOR_CACHE:-$root/.cache}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac # it is read in other folders too
dir=${POSTGRES_DIR:-$cache/postgres}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
system=${POSTGRES_PROGRAMS:-/usr/lib/postgresql}
fsync=${POSTGRES_FSYNC:-on}

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "postgres: $*"
	exit 1
}

# newest prints the newest folder of programs below a directory, nothing if there is none.
newest() { { find "$1" -path '*/lib/postgresql/*/bin/postgres' 2>/dev/null || true; } | sort -V | tail -n 1 | xargs -r dirname; }

install() {
	bin=$(newest "$system")
	[ -z "$bin" ] || return 0
	local unpacked=$cache/postgresql packages
	mkdir -p "$cache"
	exec 9>"$unpacked.lock" # of two that start at the same time one unpacks
	flock 9
	bin=$(newest "$unpacked")
	if [ -z "$bin" ]; then
		command -v apt-get >/dev/null || fail "PostgreSQL is not there and this is no Debian: install it."
		say "Unpacking PostgreSQL into $unpacked, once …"
		# What an installation would add, which needs no root to be asked.
		packages=$(apt-get install --simulate --no-install-recommends postgresql 2>/dev/null | awk '$1 == "Inst" { print $2 }') || true
		[ -n "$packages" ] || fail "apt-get knows no package postgresql: apt-get update, or install it."
		rm -rf "$unpacked.part"
		mkdir -p "$unpacked.part/packages"
		# shellcheck disable=SC2086 # names of packages hold no spaces
		(cd "$unpacked.part/packages" && apt-get download -qq $packages) || fail "apt-get could not download $packages."
		for package in "$unpacked.part"/packages/*.deb; do dpkg -x "$package" "$unpacked.part"; done
		rm -rf "$unpacked" "$unpacked.part/packages"
		mv "$unpacked.part" "$unpacked"
		bin=$(newest "$unpacked")
		[ -n "$bin" ] || fail "the package holds no programs."
	fi
	exec 9>&-
	LD_LIBRARY_PATH=$(find "$unpacked" -name '*.so*' -printf '%h\n' | sort -u | paste -sd :)
	export LD_LIBRARY_PATH
}

# as runs a command as a user that PostgreSQL accepts.
as() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid nobody --regid nogroup --clear-groups -- "$@"
	else
		"$@"
	fi
}

# running: is the server of this directory there? Its first line of postmaster.pid is its
# process id, the fourth its port.
running() { [ -r "$dir/data/postmaster.pid" ] && as "$bin/pg_ctl" status --pgdata "$dir/data" >/dev/null 2>&1; }

address() { printf 'postgresql+psycopg2://mlflow@127.0.0.1:%s/%s\n' "$(sed -n 4p "$dir/data/postmaster.pid")" "$1"; }

psql() { as "$bin/psql" --quiet --no-psqlrc --host "$dir" --port "$(sed -n 4p "$dir/data/postmaster.pid")" --username mlflow --set ON_ERROR_STOP=1 --dbname postgres "$@" >&2; }

# A port below those that the system gives to clients, so that nobody takes it before the server does.
free_port() {
	python3 - <<-'EOF'
		import random, socket
		while True:
		    port = random.randrange(10000, 32000)
		    with socket.socket() as s:
		        try:
		            s.bind(("127.0.0.1", port))
		        except OSError:
		            continue
		    print(port)
		    break
	EOF
}

end() { as "$bin/pg_ctl" stop --silent --wait --mode fast --pgdata "$dir/data" >&2; }

began= # this call has started it
start() {
	running && return
	mkdir -p "$dir"
	[ "$(id -u)" != 0 ] || chown nobody:nogroup "$dir"
	as test -w "$dir" || fail "the user nobody cannot reach $dir: choose another with POSTGRES_DIR."
	local port=${POSTGRES_PORT:-$(free_port)}
	cd "$dir"
	[ -d data ] || as "$bin/initdb" --pgdata data --username mlflow --auth trust --encoding UTF8 --no-sync >init.log ||
		fail "initdb failed; its log is $dir/init.log."
	# pg_ctl starts the server in a session of its own and waits until it answers.
	as "$bin/pg_ctl" start --silent --wait --timeout 120 --pgdata data --log "$dir/log" \
		--options "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='$dir' -c fsync=$fsync -c max_connections=100" >&2 ||
		fail "it does not start; its log is $dir/log."
	began=yes
	psql --command 'CREATE DATABASE mlflow' 2>/dev/null || true # there already
}

case ${1:-} in
--install-only) install ;;
--start)
	install
	start
	address mlflow
	;;
--database)
	[ -n "${2:-}" ] || fail "--database needs a name."
	install
	start
	psql --command "DROP DATABASE IF EXISTS \"$2\" WITH (FORCE)" --command "CREATE DATABASE \"$2\"" || {
		[ -z "$began" ] || end
		fail "the database $2 could not be made."
	}
	address "$2"
	;;
--stop)
	install
	if running; then end; fi
	rm -rf "$dir/data" "$dir/log" "$dir/init.log"
	;;
--help | -h) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
