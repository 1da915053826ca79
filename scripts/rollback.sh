#!/usr/bin/env bash
# Takes MLflow out of a deployment again: all of it, behind a backup.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: scripts/rollback.sh [option …] [-- argument of `mlflowctl backup create` …]

Run it in the folder in which MLflow was started, with the same settings. It

  1. looks whether a backup can be made; if not, it ends here,
  2. stops MLflow and the Collector, if `scripts/start_mlflow.sh --background` started them,
  3. makes a backup and checks it,
  4. removes MLflow's database and artifacts, the Collector's folder, and logs,
  5. takes the MLFLOW_ lines out of .env; as it was it stays as .env.bak.TIME.

Jobs, prompts and the worker stay; start the worker again afterwards. Nothing is removed
that the backup does not hold.

  --dry-run        say what would be done, and do nothing
  --yes            do not ask
  --backup-to DIR  where to put the backup                 ./backups
  --help           this text

  MLFLOWCTL        the program mlflowctl                   bin/mlflowctl, else that of PATH

Forward again: put the lines of .env.bak.TIME back, then
`scripts/start_mlflow.sh --background --with-collector`.
What MLflow held before is in the backup: `mlflowctl restore BACKUP --into DIR`, and start
MLflow in DIR.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
say() { printf '%s\n' "$*" >&2; }
fail() {
	say "rollback: $*"
	exit 1
}

dry=
yes=
to=./backups
more=()
while [ $# -gt 0 ]; do
	case $1 in
	--dry-run) dry=yes ;;
	--yes) yes=yes ;;
	--backup-to)
		[ $# -gt 1 ] || fail "--backup-to needs a folder."
		to=$2
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	--)
		shift
		more=("$@")
		break
		;;
	*)
		usage >&2
		fail "there is no option $1."
		;;
	esac
	shift
done

control=${MLFLOWCTL:-$root/bin/mlflowctl}
[ -x "$control" ] || control=$(command -v mlflowctl) || fail "bin/mlflowctl is not built yet: run make build."

# What is left out of the backup is left alone by the removal.
same=()
for ((i = 0; i < ${#more[@]}; i++)); do
	case ${more[i]} in
	--without | --mlflow-store | --artifacts | --tracking-uri) same+=("${more[i]}" "${more[i + 1]-}") ;;
	--without=* | --mlflow-store=* | --artifacts=* | --tracking-uri=*) same+=("${more[i]}") ;;
	esac
done

# While everything runs: MLflow is asked what it keeps, and nobody has to start it again when this refuses.
# A person is asked after what it warns of; --yes asks nobody, so that a warning is as good as a no.
possible() {
	local said
	said=$("$control" backup create --dry-run --to "$to" ${more[@]+"${more[@]}"} 2>&1) || {
		say "$said"
		fail "no backup can be made, so nothing was stopped or removed."
	}
	[ -n "$yes" ] || printf '%s\n' "$said"
	case $yes$said in yes*warning:*)
		say "$said"
		fail "the backup may lack something, so nothing was stopped or removed. Without --yes you are asked; -- --without artifacts leaves artifacts where they are."
		;;
	esac
}

if [ -n "$dry" ]; then
	if "$root/scripts/start_mlflow.sh" --status 2>/dev/null; then say "would stop MLflow, and the Collector if it runs beside it"; fi
	possible
	exec "$control" rollback --dry-run --backup "$to" ${same[@]+"${same[@]}"}
fi

would=$("$control" rollback --dry-run --backup "$to" ${same[@]+"${same[@]}"})
if [ -n "$yes" ]; then
	possible # what would be done is done at once
else
	possible
	printf '%s\n' "$would"
	read -r -p "A backup is made before. Go on? [yes/no] " answer </dev/tty || fail "nobody answers; --yes goes on without asking."
	[ "$answer" = yes ] || fail "nothing was done."
fi
was=$("$root/scripts/start_mlflow.sh" --status 2>&1 || true)
"$root/scripts/start_mlflow.sh" --stop
stopped() {
	case $was in
	*"The Collector is running"*) say "MLflow and the Collector are stopped; start them again: $root/scripts/start_mlflow.sh --background --with-collector" ;;
	*"MLflow is running"*) say "MLflow is stopped; start it again: $root/scripts/start_mlflow.sh --background" ;;
	esac
}
made=$("$control" backup create --to "$to" --json ${more[@]+"${more[@]}"}) || {
	stopped
	fail "there is no backup, so nothing was removed."
}
dir=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["dir"])' "$made")
say "The backup is $dir."
"$control" rollback --backup "$dir" ${same[@]+"${same[@]}"} || {
	stopped
	fail "it was not taken back; the backup stays."
}
say "Start the worker again: it reads its settings when it starts."
