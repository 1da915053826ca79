#!/usr/bin/env bash
# Runs the benchmarks one package after another.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: scripts/bench.sh

Runs the benchmarks one package after another, keeps every round in .bench/ and prints
benchstat's medians with their spread.

  BENCH_COUNT  rounds  10
TEXT
}

case ${1:-} in
'') ;;
--help | -h)
	usage
	exit 0
	;;
*)
	usage >&2
	echo "bench: there is no option $1." >&2
	exit 2
	;;
esac
cd "$(dirname "$0")/.."
count=${BENCH_COUNT:-10}
out=.bench/$(date -u +%Y%m%dT%H%M%SZ).txt
mkdir -p .bench
tools=$(make --no-print-directory tools-folder)
make --no-print-directory "$tools/benchstat" >/dev/null

packages=$(git grep -lE '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's#^#./#')
if [ -z "$packages" ]; then
    echo "no benchmark found" >&2
    exit 1
fi
{
    echo "# $(go version), $(nproc) processors, $(git rev-parse --short HEAD)"
    for package in $packages; do
        go test -run '^$' -bench . -benchmem -count "$count" "$package"
    done
} | tee "$out"
echo
"$tools/benchstat" "$out"
echo "raw rounds: $out"
