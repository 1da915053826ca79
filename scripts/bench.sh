#!/usr/bin/env bash
# Runs the benchmarks one package after another, keeps every round in .bench/ and prints
# benchstat's medians with their spread. BENCH_COUNT rounds (default 10).
set -euo pipefail
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
