#!/usr/bin/env bash
# The coordinator with a real Slurm: conversions that succeed, and what they ask of
# Slurm; one that is found again after a kill of the coordinator, cancelled and
# resumed; and evaluation workers as a job array. What time limits do
# tests/slurm/slurm_test.sh has.
source "$(dirname "$0")/service.sh"
source "$(dirname "$0")/../slurm/real_slurm.sh"
trap 'end_all; slurm_stop' EXIT
slurm_start accounting enforced two || fail "no Slurm"
prepare
{
  sacctmgr -i add account research
  sacctmgr -i add qos urgent
  sacctmgr -i add user "$(id -un)" account=research defaultaccount=research \
    qos=normal,urgent
} >"$work/sacctmgr.txt" 2>&1 || fail "$(cat "$work/sacctmgr.txt")"
job=("$work/job.textproto" --set threads=1)
long=("${job[@]}" --set budget.transfer_steps=2000
  --set checkpoint.every_steps=100 --set validation.every_steps=100)
"$caracal" run "${job[@]}" --set slurm.partition=fast --out "$work/alone" \
  >/dev/null 2>"$work/alone.txt" || fail "run"
grep -q '^warning: slurm: has no effect' "$work/alone.txt" || fail "no warning"
"$caracal" run "${long[@]}" --out "$work/long" >/dev/null 2>&1 || fail "run"
slurm=(--launcher slurm --slurm-poll 0.3 --slurm-partition all --slurm-time 60
  --slurm-memory 200M --slurm-option=--constraint=big --slurm-save-before 60
  --slurm-allow-partitions fast,gone --slurm-allow-accounts research,none)
must_fail "gres" "$caracald" --data "$work/other" --listen 127.0.0.1:0 \
  "${slurm[@]}" --slurm-gres 'gpu 8'
start_daemon "${slurm[@]}"

# All that is wrong with what it asks, beside the rest.
must_fail "5 problems" "$caracal" submit "${job[@]}" \
  --set slurm.partition=all --set slurm.account=a --set slurm.time=2:59 \
  --set slurm.nodes=2 --set budget.batch=0
for words in "slurm.partition: is 'all', but" "slurm.account: is 'a', but" \
  "slurm.time: is 2:59, but" "slurm.nodes: is 2, but" "budget.batch: is 0"; do
  grep -qF -- "$words" "$work/err.txt" || fail "$words: $(cat "$work/err.txt")"
done

# With two ranks and its report, as the coordinator has it but for what it asks:
# on nodes that nobody else may use meanwhile.
scontrol create reservation reservationname=night users="$(id -un)" \
  starttime=now duration=60 nodes=node,node2 flags=ignore_jobs >/dev/null
number_of() { squeue --noheader --states=all --format=%A --name="caracal-$1"; }
# asked GANG WORDS...: what Slurm was asked for, as scontrol shows it.
asked() {
  local shown words
  shown=$(scontrol show job "$(number_of "$1")")
  for words in "${@:2}"; do
    grep -qF -- "$words" <<<"$shown" || fail "$1 is not $words: $shown"
  done
}
[ "$("$caracal" submit "${job[@]}" --set parallel.data=2 \
  --set slurm.partition=fast --set slurm.time=1-0:30 --set slurm.memory=100M \
  --set slurm.gres=widget:2 --set 'slurm.constraint=[big|rack1]' \
  --set slurm.account=research --set slurm.qos=urgent \
  --set slurm.reservation=night \
  --set slurm.nodes=2 --set slurm.ranks_per_node=1)" = 1 ] || fail "submit"
wait_for 1 succeeded
asked 1-1 Partition=fast TimeLimit=1-00:30:00 MinMemoryNode=100M \
  'Features=[big|rack1]' widget:2 NumNodes=2 NtasksPerN:B:S:C=1: \
  Account=research QOS=urgent Reservation=night
scontrol delete reservationname=night
[ -s "$data/runs/1/report.html" ] || fail "no report"
[ "$("$caracal" submit "${job[@]}")" = 2 ] || fail "submit"
wait_for 2 succeeded
asked 2-1 Partition=all TimeLimit=01:00:00 MinMemoryNode=200M Features=big
[ "$(losses "$data/runs/2")" = "$(losses "$work/alone")" ] || fail "losses"

# What only Slurm can know is wrong ends it for good.
refused() {
  [ "$("$caracal" submit "${job[@]}" --set "slurm.$2")" = "$1" ] || fail "submit"
  wait_for "$1" failed
  "$caracal" status "$1" | grep -q -i "$3" || fail "$("$caracal" status "$1")"
}
refused 3 partition=gone 'invalid partition'
refused 4 account=none 'invalid account'
refused 5 qos=none 'invalid qos'
refused 6 reservation=none 'requested reservation'

# Found again after a kill; cancelled, it saves; resumed, it ends as if nothing
# had been.
[ "$("$caracal" submit "${long[@]}")" = 7 ] || fail "submit"
eventually "job 7 trains" has_steps 7 10
kill_daemon
start_daemon "${slurm[@]}"
is 7 running || fail "job 7 is $(state_of 7)"
"$caracal" cancel 7
wait_for 7 cancelled
has_steps 7 2006 && fail "it was not stopped"
"$caracal" resume 7
wait_for 7 succeeded
[ "$(losses "$data/runs/7")" = "$(losses "$work/long")" ] || fail "losses"
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
