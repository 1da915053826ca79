# Runs the files that are named in the pipe $2, one a line, in this shell, and says in the pipe $1
# how each ended. Variables, functions, background jobs and the folder live on. The pipes have names
# so that nothing that is started here holds them open.
docrun_state=$1 docrun_next=$2 docrun_failed=
shift 2
set -eEo pipefail
trap 'docrun_failed="$? $LINENO"' ERR
trap 'printf "%s %s\n" "$?" "$docrun_failed" >"$docrun_state"' EXIT
while IFS= read -r docrun_file <"$docrun_next"; do
    exec >"$docrun_file.out" 2>&1
    . "$docrun_file" </dev/null
    printf 'done\n' >"$docrun_state"
done
