#!/usr/bin/env bash
# The demo: builds the programs and installs MLflow side by side, then shows the main job
# end to end.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/demo.sh [--stop]

Builds the programs and installs MLflow, then shows the main job end to end, and keeps the
servers running to look around until Enter.

  --stop  end what a demo left running
  --help  this text

  DEMO_WAIT         0: end by itself             1
  DEMO_EXTRA_EVENT  file with a Slack event of your own
  DEMO_DIR          where everything is kept     .demo
TEXT
}

case ${1:-} in
'' | --stop) ;;
--help | -h)
    usage
    exit 0
    ;;
*)
    usage >&2
    echo "demo: there is no option $1." >&2
    exit 2
    ;;
esac
case ${COMMENTATOR_CACHE:-/} in /*) ;; *) export COMMENTATOR_CACHE=$PWD/$COMMENTATOR_CACHE ;; esac # it is read in other folders too
cd "$(dirname "$0")/.."
dir=${DEMO_DIR:-.demo}

if ! command -v go >/dev/null; then
    echo "demo: Go is missing; install Go 1.26 or later" >&2
    exit 1
fi

build() {
    make --no-print-directory --silent build && go build -o bin/ ./scripts/demo
}

if [ "${1:-}" = --stop ]; then
    [ -x bin/demo ] || go build -o bin/ ./scripts/demo
    exec bin/demo -dir "$dir" -stop
fi

echo "Building the programs and installing MLflow (the first time takes minutes) …"
scripts/start_mlflow.sh --install-only &
install=$!
build || { kill "$install" 2>/dev/null; wait "$install" || true; exit 1; }
wait "$install"

wait=true
if [ "${DEMO_WAIT:-1}" = 0 ]; then
    wait=false
fi
exec bin/demo -dir "$dir" -extra-event "${DEMO_EXTRA_EVENT:-}" -wait="$wait"
