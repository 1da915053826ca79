#!/usr/bin/env bash
# Finds what must not be in the tree: absolute paths of one machine, conflict marks, and
# shell scripts that do not parse.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

paths=$(git grep -nE '(^|[^A-Za-z0-9_.$}{-])/(work|root|home/[a-z]+|Users/[A-Za-z]+)/' -- . ':!*.sum' ':!scripts/check_tree.sh' || true)
if [ -n "$paths" ]; then
    printf 'absolute paths of one machine:\n%s\n' "$paths" >&2
    failed=1
fi
marks=$(git grep -nE '^(<<<<<<<|>>>>>>>) ' -- . || true)
if [ -n "$marks" ]; then
    printf 'conflict marks:\n%s\n' "$marks" >&2
    failed=1
fi
while IFS= read -r script; do
    bash -n "$script" || failed=1
done < <(git ls-files '*.sh' .ci/run)
exit "$failed"
