#!/usr/bin/env bash
# The coordinator with a real Slurm: a conversion that succeeds, one that is
# found again after a kill of the coordinator, cancelled and resumed; and
# evaluation workers as a job array. What time limits do tests/slurm/slurm_test.sh
# has.
source "$(dirname "$0")/service.sh"
source "$(dirname "$0")/../slurm/real_slurm.sh"
trap 'end_all; slurm_stop' EXIT
slurm_start || fail "no Slurm"
prepare
job=("$work/job.textproto" --set threads=1)
long=("${job[@]}" --set budget.transfer_steps=2000
  --set checkpoint.every_steps=100 --set validation.every_steps=100)
"$caracal" run "${job[@]}" --out "$work/alone" >/dev/null 2>&1 || fail "run"
"$caracal" run "${long[@]}" --out "$work/long" >/dev/null 2>&1 || fail "run"
slurm=(--launcher slurm --slurm-poll 0.3)
must_fail "gres" "$caracald" --data "$work/other" --listen 127.0.0.1:0 \
  "${slurm[@]}" --slurm-gres 'gpu 8'
start_daemon "${slurm[@]}"

# With two ranks and its report.
[ "$("$caracal" submit "${job[@]}" --set parallel.data=2)" = 1 ] || fail "submit"
wait_for 1 succeeded
[ -s "$data/runs/1/report.html" ] || fail "no report"
[ "$("$caracal" submit "${job[@]}")" = 2 ] || fail "submit"
wait_for 2 succeeded
[ "$(losses "$data/runs/2")" = "$(losses "$work/alone")" ] || fail "losses"

# Found again after a kill; cancelled, it saves; resumed, it ends as if nothing
# had been.
[ "$("$caracal" submit "${long[@]}")" = 3 ] || fail "submit"
eventually "job 3 trains" has_steps 3 10
kill_daemon
start_daemon "${slurm[@]}"
is 3 running || fail "job 3 is $(state_of 3)"
"$caracal" cancel 3
wait_for 3 cancelled
has_steps 3 2006 && fail "it was not stopped"
"$caracal" resume 3
wait_for 3 succeeded
[ "$(losses "$data/runs/3")" = "$(losses "$work/long")" ] || fail "losses"
[ -z "$(squeue --noheader --states=PENDING,RUNNING)" ] || fail "$(squeue)"

# Two workers as a job array measure a run. One is told to end, as before its time
# limit, and gives its part back; the other ends when nothing is left.
export CARACAL_EVALD=$PWD/jobs/evaluator/caracal-evald
attribute=(attribute "$data/runs/1" --data "$work/train.h5" --ablate heads
  --batch 1 --json)
"$caracal" "${attribute[@]}" >"$work/here.json" 2>/dev/null || fail "attribute"
id=$(sbatch --parsable --array=0-1 --output="$work/evald.%a.log" \
  "$PWD/deploy/slurm/evaluate.sbatch" --idle-exit 3)
"$caracal" "${attribute[@]}" --part-rows 100000 --server "$CARACAL_SERVER" \
  >"$work/there.json" 2>"$work/there.txt" &
client=$!
for element in 0 1; do
  eventually "worker $element has done a part" \
    grep -q -s 'is done' "$work/evald.$element.log"
done
scancel --signal=TERM --batch "${id}_0"
wait "$client" || fail "attribute: $(cat "$work/there.txt" "$work"/evald.*.log)"
cmp "$work/here.json" "$work/there.json" || fail "not the same figures"
no_jobs() { [ -z "$(squeue --noheader --states=PENDING,RUNNING)" ]; }
eventually "the workers end" no_jobs
grep -q 'there is nothing to do' "$work/evald.1.log" ||
  fail "$(cat "$work/evald.1.log")"
! grep -q 'there is nothing to do' "$work/evald.0.log" ||
  fail "worker 0 was not told to end"
