# Runs the files that are named in the pipe $2, one a line, in this shell, and says in the pipe $1
# how each ended, as long as the process $3 lives. Variables, functions, background jobs and the
# folder live on. The pipes have names so that nothing that is started here holds them open, and
# are opened for both directions, which waits for nobody.
docrun_state=$1 docrun_next=$2 docrun_parent=$3 docrun_failed=
shift 3
set -eEo pipefail
trap 'docrun_failed="$? $LINENO"' ERR
trap 'printf "%s %s\n" "$?" "$docrun_failed" 1<>"$docrun_state"' EXIT
while true; do
    # Whoever runs the blocks may be killed, and then nobody closes this shell. What came of a line
    # when the time was over is its beginning.
    docrun_file=
    until IFS= read -r -t 2 docrun_part <>"$docrun_next"; do
        docrun_file+=$docrun_part
        kill -0 "$docrun_parent" 2>/dev/null || {
            trap - EXIT # nobody reads how it ended
            break 2
        }
    done
    docrun_file+=$docrun_part
    exec >"$docrun_file.out" 2>&1
    . "$docrun_file" </dev/null
    printf 'done\n' 1<>"$docrun_state"
done
