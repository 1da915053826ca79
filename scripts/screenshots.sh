#!/usr/bin/env bash
# Takes the README's pictures of the MLflow UI after a demo that is still running.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./scripts/screenshots "$@"
