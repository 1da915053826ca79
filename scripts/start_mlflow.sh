#!/usr/bin/env bash
# Installs MLflow, once, and starts its server.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: scripts/start_mlflow.sh [option …] [argument of `mlflow server` …]

Starts MLflow in the foreground; the first time it installs it into the checkout.
Several versions can be installed side by side.

  --background      start it, wait until it answers, and return
  --status          say whether what --background started is running
  --stop            end what --background started
  --with-collector  start bin/otelcol-mlflow beside it, or beside what --background started
  --install-only    only install
  --python          only install, and print the path of its Python
  --help            this text

  MLFLOW_VERSION         the default or one of scripts/mlflow/versions.txt  3.17.2
  MLFLOW_HOST            address to listen on              127.0.0.1
  MLFLOW_PORT            port                              5000
  MLFLOW_BACKEND_STORE   database                          sqlite:///mlflow.db
  MLFLOW_ARTIFACT_ROOT   where the server keeps artifacts  ./mlartifacts
  MLFLOW_STATE_DIR       pids and logs of --background     ./.mlflow
  COMMENTATOR_CACHE      where MLflow is installed         .cache in the checkout

All but the first and the last may also stand in .env of the folder where it is started, not in
a profile.
TEXT
}

# What the environment lacks is taken from .env, as the programs of this project do.
setting() {
	local name=$1 value
	if [ -z "${!name+set}" ] && [ -f .env ]; then
		value=$(sed -nE "s/^[[:space:]]*(export[[:space:]]+)?$name=//p" .env | tail -n 1 | sed -E 's/[[:space:]]+(#.*)?$//')
		[[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]] && value=${BASH_REMATCH[1]}
		printf '%s' "${value:-$2}"
		return
	fi
	printf '%s' "${!name:-$2}"
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${COMMENTATOR_CACHE:-$root/.cache}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac # it is read in other folders too
host=$(setting MLFLOW_HOST 127.0.0.1)
port=$(setting MLFLOW_PORT 5000)
backend=$(setting MLFLOW_BACKEND_STORE sqlite:///mlflow.db)
artifacts=$(setting MLFLOW_ARTIFACT_ROOT ./mlartifacts)
state=$(setting MLFLOW_STATE_DIR ./.mlflow)
patience=300 # seconds that the server may take to start; the first time on a busy machine is the slowest
settled=2    # seconds after which a Collector has found out what it cannot do, such as use a port

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "start_mlflow: $*"
	exit 1
}

mode=foreground
collector=
rest=()
while [ $# -gt 0 ]; do
	case $1 in
	--background | --status | --stop | --install-only | --python) mode=${1#--} ;;
	--with-collector) collector=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	--)
		shift
		rest+=("$@")
		break
		;;
	*) rest+=("$1") ;;
	esac
	shift
done

# A server that listens everywhere is asked on loopback.
reach=$host
case $host in 0.0.0.0 | ::) reach=127.0.0.1 ;; esac
url=http://$reach:$port

install() {
	command -v python3 >/dev/null ||
		fail "python3 is not there, and MLflow is written in it. On Debian and Ubuntu: apt install python3 python3-venv."
	python=$(python3 "$root/scripts/mlflow/install.py" "$cache" "${MLFLOW_VERSION:-}")
}

# healthy: does MLflow answer?
healthy() {
	python3 - "$url/health" <<-'PY'
		import sys, urllib.request
		opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
		try:
		    sys.exit(0 if opener.open(sys.argv[1], timeout=2).status == 200 else 1)
		except OSError:
		    sys.exit(1)
	PY
}

check_port() {
	local problem
	problem=$(
		python3 - "$host" "$port" <<-'PY'
			import socket, sys
			host, port = sys.argv[1:]
			if not port.isdigit() or not 0 < int(port) < 65536:
			    print(f"MLFLOW_PORT is {port!r}, which is no port.")
			    sys.exit()
			try:
			    family, kind, proto, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
			    with socket.socket(family, kind, proto) as s:
			        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
			        s.bind(address)
			except socket.gaierror as e:
			    print(f"MLFLOW_HOST is {host!r}, which is no address of this machine: {e.strerror}.")
			except OSError as e:
			    print(f"{host}:{port} cannot be used: {e.strerror}. Is another MLflow there (--status)? MLFLOW_PORT chooses another port.")
		PY
	)
	[ -z "$problem" ] || fail "$problem"
}

check_collector() {
	[ -n "$collector" ] || return 0
	[ -x "$root/bin/otelcol-mlflow" ] || fail "bin/otelcol-mlflow is not built yet: run make build."
}

# The job runner of MLflow's server (scheduled scorers, optimisation of prompts) is seven
# processes and most of the time to start; who uses it sets the variable to true.
server() {
	export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=${MLFLOW_SERVER_ENABLE_JOB_EXECUTION:-false}
	exec "$python" -m mlflow server --host "$host" --port "$port" --workers 2 \
		--backend-store-uri "$backend" --artifacts-destination "$artifacts" --serve-artifacts \
		${rest[@]+"${rest[@]}"}
}

# born prints when a process started, so that a process id which was given to somebody
# else's program in the meantime is not taken for ours.
born() {
	if [ -r "/proc/$1/stat" ]; then
		# Field 22, counted behind the name in parentheses, which may hold anything. One that is
		# dead and that nobody has collected, as in a container, is not there.
		sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
	else
		ps -o lstart= -p "$1" 2>/dev/null | xargs || true
	fi
}

started=" " # what this call has launched

# launch NAME COMMAND…: starts a command as the leader of a process group of its own.
launch() {
	local name=$1
	shift
	set -m
	"$@" >>"$state/$name.log" 2>&1 </dev/null &
	set +m
	disown
	printf '%s %s\n' "$!" "$(born "$!")" >"$state/$name.pid"
	started="$started$name "
}

# leader NAME: the process id of what was launched under this name, if it is still ours.
leader() {
	local pid started
	[ -r "$state/$1.pid" ] || return 1
	read -r pid started <"$state/$1.pid"
	[ -n "$pid" ] && [ -n "$started" ] && [ "$(born "$pid")" = "$started" ] || return 1
	printf '%s' "$pid"
}

# alive PID: has the process group a member that is more than a zombie? In a container nobody
# may collect the dead.
alive() {
	if [ -r /proc/self/stat ]; then
		cat /proc/[0-9]*/stat 2>/dev/null |
			awk -v group="$1" '{ sub(/.*\) /, "") } $3 == group && $1 != "Z" { found = 1 } END { exit !found }'
	else
		kill -0 -- "-$1" 2>/dev/null
	fi
}

# end NAME: ends a process group, gently first.
end() {
	local pid
	if pid=$(leader "$1"); then
		kill -TERM -- "-$pid" 2>/dev/null || true
		for _ in $(seq 100); do
			alive "$pid" || break
			sleep 0.1
		done
		kill -KILL -- "-$pid" 2>/dev/null || true
		say "Stopped $1."
	fi
	rm -f "$state/$1.pid"
}

# undo ends what this call has launched, and nothing else.
undo() {
	local name
	for name in collector mlflow; do
		case $started in *" $name "*) end "$name" ;; esac
	done
}

# begin has whatever is launched ended when this call ends, until keep.
begin() {
	mkdir -p "$state"
	trap undo EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

keep() { trap - EXIT INT TERM HUP; }

start_collector() {
	[ -n "$collector" ] || return 0
	if leader collector >/dev/null; then
		say "The Collector is running already."
		return 0
	fi
	MLFLOW_TRACKING_URI=$url launch collector "$root/bin/otelcol-mlflow"
	collector_since=$SECONDS
	say "The Collector's log is $state/collector.log."
}

# wait_collector: does the Collector stay, if this call has started it?
wait_collector() {
	case $started in *" collector "*) ;; *) return 0 ;; esac
	while leader collector >/dev/null && [ $((SECONDS - collector_since)) -le "$settled" ]; do sleep 0.2; done
	leader collector >/dev/null || {
		tail -n 20 "$state/collector.log" >&2
		fail "the Collector ended while it started; its log is $state/collector.log."
	}
}

wait_healthy() {
	local deadline=$((SECONDS + patience))
	until healthy; do
		leader mlflow >/dev/null || {
			tail -n 20 "$state/mlflow.log" >&2
			fail "MLflow ended while it started; its log is $state/mlflow.log."
		}
		[ "$SECONDS" -lt "$deadline" ] || fail "MLflow does not answer after $patience s; its log is $state/mlflow.log."
		sleep 0.5
	done
	leader mlflow >/dev/null || fail "another program answers on $url; MLflow's log is $state/mlflow.log."
}

# answers: does MLflow answer, or does it only not in a moment in which much else runs?
answers() {
	for _ in 1 2 3 4 5; do
		leader mlflow >/dev/null || return 1
		healthy && return 0
		sleep 0.5
	done
	return 1
}

status() {
	local up=0
	if answers; then
		say "MLflow is running on $url."
	elif leader mlflow >/dev/null; then
		say "MLflow is running but does not answer on $url; its log is $state/mlflow.log."
		up=1
	else
		say "MLflow is not running (nothing that --background started from here)."
		up=1
	fi
	if leader collector >/dev/null; then say "The Collector is running."; fi
	return "$up"
}

case $mode in
status) status ;;
stop)
	leader mlflow >/dev/null || leader collector >/dev/null || say "Nothing is running."
	end collector
	end mlflow
	;;
install-only) install ;;
python)
	install
	printf '%s\n' "$python"
	;;
background)
	check_collector
	if leader mlflow >/dev/null; then
		say "MLflow is running already."
		begin
		start_collector
		wait_collector
		keep
		status
		exit
	fi
	install
	check_port
	begin
	launch mlflow server
	start_collector
	wait_healthy
	wait_collector
	keep
	say "MLflow is running on $url; its log is $state/mlflow.log."
	;;
foreground)
	check_collector
	install
	check_port
	say "MLflow will be on $url."
	[ -n "$collector" ] || server
	begin
	start_collector
	launch mlflow server
	say "MLflow's log is $state/mlflow.log."
	wait_healthy
	say "MLflow is running on $url. Ctrl-C ends both."
	while leader mlflow >/dev/null && leader collector >/dev/null; do sleep 1; done
	fail "MLflow or the Collector ended; the logs are in $state."
	;;
esac
