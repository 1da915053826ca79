#!/usr/bin/env bash
# The demo: builds the programs and installs MLflow side by side, then shows the main job
# end to end. `--stop` ends what a demo left running. Settings: DEMO_WAIT=0 ends by itself,
# DEMO_EXTRA_EVENT=FILE adds a Slack event of your own, DEMO_DIR is where everything is kept.
set -euo pipefail
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
