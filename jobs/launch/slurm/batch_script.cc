#include "jobs/launch/slurm/batch_script.h"

namespace caracal {

const char kBatchScript[] = R"sh(#!/bin/bash
# Runs the gang of folder $1, which was submitted under the mark $2, once. Its
# file `command` holds $3 arguments, its file `afterwards` $4.
set -u
folder=$1 mark=$2

# 75: nothing of it has run, and another gang may.
give_up() {
  echo "caracal: $*" >&2
  exit 75
}
asked= srun= passed= step=0
trap 'asked=1; pass_on' TERM
# The ranks take any of three signals, but each only once. srun hands one on,
# and loses it while it starts them; scancel tells when there is no rank yet.
pass_on() {
  [ -n "$srun" ] && [ -z "$passed" ] || return 0
  passed=1
  echo "caracal: asked to stop: the ranks save" >&2
  kill -USR1 "$srun" 2>/dev/null
  (
    trap - TERM
    sleep 5
    until scancel --signal=INT "$SLURM_JOB_ID.$step"; do sleep 1; done
  ) >/dev/null 2>&1 &
  # One more signal while srun ends would take its status's place. Whoever asks
  # again says nothing new: nothing is started any more.
  trap '' TERM
}

[ "$(cat "$folder/mark")" = "$mark" ] ||
  give_up "$folder is another gang's by now"
command=() afterwards=()
mapfile -d '' -t command <"$folder/command"
mapfile -d '' -t afterwards <"$folder/afterwards"
[ "${#command[@]}" -eq "$3" ] && [ "${#afterwards[@]}" -eq "$4" ] ||
  give_up "can't read the command in $folder"
mine="$folder/claim.$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}"
printf '{"slurm_job": %s, "restarts": %s}\n' "$SLURM_JOB_ID" \
  "${SLURM_RESTART_COUNT:-0}" >"$mine" && sync "$mine" ||
  give_up "can't write in $folder"
# Over a network a link that was made may be told as an error: see who made it.
ln -T "$mine" "$folder/claim" 2>/dev/null
cmp -s "$mine" "$folder/claim" ||
  { rm -f "$mine"; give_up "this gang was given up, or has run already"; }
rm -f "$mine"
sync "$folder"

# write_status STATUS: of the ranks, as srun tells it.
write_status() {
  echo "exit $1" >"$folder/status.tmp" && sync "$folder/status.tmp" &&
    mv "$folder/status.tmp" "$folder/status" && sync "$folder"
}

# run COMMAND...: until its ranks have ended, as `status` says. When the script
# was asked to stop, none is started.
run() {
  status=85
  [ -z "$asked" ] || return
  rm -f "$folder/done"
  "$@" &
  srun=$!
  [ -z "$asked" ] || pass_on
  while :; do
    wait "$srun"
    # A signal ends it early; then this is not the ranks' status.
    kill -0 "$srun" 2>/dev/null || break
  done
  wait "$srun"
  status=$?
  srun=
  if [ "$status" -eq 0 ] && [ ! -e "$folder/done" ]; then
    echo "caracal: srun ended without an error, but no rank 0 did" >&2
    status=75
  fi
}

export CARACAL_GANG=$folder
run "${command[@]}"
if [ "$status" -eq 0 ] && [ "$4" -gt 0 ]; then
  step=1
  run "${afterwards[@]}"
fi
write_status "$status"
exit "$status"
)sh";

const char kRankScript[] = R"sh(
if ! cd -- "$1"; then
  echo "caracal-worker: can't work in $1" >&2
  exit 1
fi
shift
trap : INT TERM USR1
"$@"
status=$?
if [ "$status" -eq 0 ] && [ "$SLURM_PROCID" -eq 0 ]; then
  : >"$CARACAL_GANG/done" || status=75
fi
exit "$status"
)sh";

}  // namespace caracal
