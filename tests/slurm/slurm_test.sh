#!/usr/bin/env bash
# Gangs of real ranks under a real Slurm: done, cancelled, stopped, at the end
# of their time, with their node, with launchers that are killed, and forgotten.
source "$(dirname "$0")/../end_to_end/common.sh"
source "$(dirname "$0")/real_slurm.sh"
slurm_gang=$PWD/$2 worker=$PWD/$3 convert=$PWD/deploy/slurm/convert.sbatch
gangs=$work/gangs
trap 'kill -KILL $(jobs -p) 2>/dev/null || true; slurm_stop' EXIT

# launch JOB EPOCH ORDER...: a launcher, in the background, as `launcher`.
launch() {
  local job=$1 epoch=$2
  shift 2
  "$slurm_gang" "$gangs" "$worker" "${limit:-}" "$job" "$epoch" "$@" \
    >"$work/told.$job.$epoch.$1" 2>&1 &
  launcher=$!
}
# start JOB EPOCH RANKS STEPS [ARGUMENTS...]: likewise, of a conversion of its
# own.
start() {
  local job=$1 epoch=$2 ranks=$3 steps=$4
  shift 4
  launch "$job" "$epoch" start "$ranks" "$work" --job job.textproto \
    --out "$work/run.$job" --set "parallel.data=$ranks" \
    --set "budget.transfer_steps=$steps" "$@"
}
# said JOB EPOCH ORDER WORDS: whether that launcher has.
said() { grep -q -s -E -- "$4" "$work/told.$1.$2.$3"; }
explain() {
  tail -n 12 "$work"/alone/*log "$work"/told.* "$gangs"/*/output.log >&2 || true
  fail "$*"
}
# wait_for SECONDS WORDS COMMAND...
wait_for() { slurm_until "$@" || explain "$2"; }
expect() {
  wait_for 90 "$1-$2 $3: $4" said "$1" "$2" "$3" '^(ended|slurm_gang:) '
  said "$@" || explain "$1-$2 $3: $4"
  tail -n 1 "$work/told.$1.$2.$3"
}
lines_of() { [ -e "$1" ] && wc -l <"$1" || echo 0; }
has_lines() { [ "$(lines_of "$1")" -ge "$2" ]; }
steps_of() { lines_of "$work/run.$1/metrics.jsonl"; }
has_steps() { has_lines "$work/run.$1/metrics.jsonl" "$2"; }
crash() {
  kill -KILL "$launcher"
  wait "$launcher" 2>/dev/null || true
}
# The ranks with $1 in their environment.
ranks_with() {
  local file comm
  for file in $(grep -l -s -z "^$1" /proc/[0-9]*/environ); do
    read -r comm <"${file%environ}comm" || continue
    [ "$comm" != caracal-worker ] || echo "${file//[^0-9]/}"
  done 2>/dev/null
}
# Stops the ranks with $1 in their environment in their tracks: so that they do
# not end before the test has come to what it is about.
freeze() { kill -STOP $(ranks_with "$1"); }
thaw() { kill -CONT $(ranks_with "$1"); }
gang() { echo "CARACAL_GANG=$gangs/$1\$"; }
since=$SECONDS
step() { echo "[$((SECONDS - since)) s] $*"; }

make_text >"$work/text.txt"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 48 --out "$work/train.h5" --held-out "$work/heldout.h5" \
  --held-out-fraction 0.1 >/dev/null || fail "data pack"
cat >"$work/job.textproto" <<JOB
preset: "lolcats"
model { path: "$model" }
data { path: "train.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 3000 finetune_steps: 1 batch: 2 }
evaluation { rows: 0 }
threads: 1
JOB
slurm_start accounting || fail "no Slurm"
step "Slurm runs"

# Two whose time is up within half a minute; the rest goes on meanwhile.
step "two are at the end of their time"
limit=1,55
start 4 1 1 3000
sed "s|train.h5|$work/train.h5|" "$work/job.textproto" >"$work/alone.textproto"
# For gangs of a coordinator; it has no effect here.
echo 'slurm { partition: "none" }' >>"$work/alone.textproto"
mkdir "$work/alone"
# convert OPTIONS... -- ARGUMENTS...: of sbatch, and of the script.
convert() {
  local options=()
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  (cd "$work/alone" && CARACAL_WORKER=$worker sbatch --parsable \
    "${options[@]}" "$convert" "${@:2}")
}
alone=$(convert --time=1 --signal=B:TERM@55 --output=log -- ../alone.textproto)
wait_for 60 "4-1 trains" has_steps 4 10
limit=
freeze "$(gang 4-1)"
wait_for 60 "job $alone trains" has_lines "$work/alone/runs/alone/metrics.jsonl" 10
freeze "SLURM_JOB_ID=$alone\$"

step "two ranks run to their end, and one makes the report"
report=(--set data.validation=heldout.h5 --set evaluation.rows=4)
start 1 1 2 100 "${report[@]}" --then --job job.textproto --out "$work/run.1" \
  --set parallel.data=2 --set budget.transfer_steps=100 "${report[@]}" --report
expect 1 1 start '^ended 1-1 done'
has_steps 1 101 || fail "not all steps"
[ -s "$work/run.1/report.html" ] || explain "no report"
launch 1 1 find
expect 1 1 find '^ended 1-1 done'

step "one is killed"
start 2 1 1 1000000
wait_for 60 "2-1 trains" has_steps 2 10
launch 2 1 kill
expect 2 1 kill '^ended 2-1 (lost|stopped)'
expect 2 1 start '^ended 2-1 (lost|stopped)'
grep -q '^waits 4-1 ' "$work"/told.4.1.start || explain "4-1 did not wait"
[ -z "$(ranks_with "$(gang 2-1)")" ] || fail "ranks are left"

step "a launcher is killed; another one stops the gang"
CARACAL_HEARTBEAT_TIMEOUT=600 start 3 1 2 20000
wait_for 60 "3-1 trains" has_steps 3 10
freeze "$(gang 3-1)"
crash
launch 3 1 find
wait_for 30 "3-1 is found" said 3 1 find '^found 3-1'
launch 3 1 stop
wait_for 30 "3-1 is asked" grep -q 'asked to stop' "$gangs/3-1/output.log"
thaw "$(gang 3-1)"
expect 3 1 stop '^ended 3-1 stopped'
expect 3 1 find '^ended 3-1 stopped'
saved=$(printf %08d "$(steps_of 3)")
[ -e "$work/run.3/checkpoints/checkpoint-$saved/manifest.json" ] ||
  fail "step $saved is not saved"
step "and a new gang goes on"
start 3 2 2 20000 --resume
expect 3 2 start '^ended 3-2 done'
has_steps 3 20001 || fail "not all steps"

step "a launcher is killed with its sbatch under way"
mkdir "$work/bin"
for when in before after; do
  real=$(command -v sbatch)
  cat >"$work/bin/sbatch" <<SBATCH
#!/bin/bash
[ "\$1" != --version ] || exec "$real" "\$@"
[ $when = after ] || kill -KILL \$PPID
[ $when = before ] || "$real" "\$@"
kill -KILL \$PPID
SBATCH
  chmod +x "$work/bin/sbatch"
  epoch=1
  [ $when = before ] || epoch=2
  PATH=$work/bin:$PATH launch 5 $epoch start 1 "$work" --job missing.textproto
  wait "$launcher" 2>/dev/null && fail "the launcher lives"
  launch 5 $epoch find
done
expect 5 1 find '^ended 5-1 lost Slurm does not know it'
[ ! -e "$gangs/5-1/output.log" ] || fail "5-1 has run"
expect 5 2 find '^ended 5-2 failed .*missing.textproto'
[ "$(grep -c '^caracal-worker: .*missing' "$gangs/5-2/output.log")" -eq 1 ] ||
  fail "5-2 has not run once"

step "what Slurm refuses"
start 6 1 100 10
expect 6 1 start '^ended 6-1 failed .*processors requested'

step "alone: an error, and one that is cancelled"
status=0
convert --wait --output=wrong.log -- ../alone.textproto --out wrong \
  --set data.path=none.h5 >/dev/null || status=$?
[ "$status" -eq 1 ] || explain "a wrong job's status is $status"
status=0
convert --wait --output=none.log -- none.textproto >/dev/null || status=$?
[ "$status" -eq 1 ] || explain "a missing job's status is $status"
cancelled=$(convert --output=cancelled.log -- ../alone.textproto \
  --out cancelled --set budget.transfer_steps=1000000)
step "alone: two tasks, and one makes the report"
status=0
convert --wait --ntasks=2 --output=two.log -- ../alone.textproto --out two \
  --set parallel.data=2 --set budget.transfer_steps=20 \
  --set "data.validation=$work/heldout.h5" --set evaluation.rows=4 \
  >/dev/null || status=$?
[ "$status" -eq 0 ] && [ -s "$work/alone/two/report.html" ] ||
  explain "two tasks: status $status"
has_lines "$work/alone/two/metrics.jsonl" 21 || fail "not all steps"
wait_for 60 "job $cancelled trains" \
  has_lines "$work/alone/cancelled/metrics.jsonl" 10
scancel "$cancelled"

step "their time is up"
wait_for 60 "4-1 is asked" grep -s -q 'asked to stop' "$gangs/4-1/output.log"
thaw "$(gang 4-1)"
wait_for 60 "job $alone is asked" grep -s -q 'asked to stop' "$work/alone/log"
thaw "SLURM_JOB_ID=$alone\$"
expect 4 1 start '^ended 4-1 stopped'
start 4 2 1 3000 --resume
expect 4 2 start '^ended 4-2 done'
has_steps 4 3001 || fail "not all steps"
step "what was put back into the queue goes on"
alone_is() { scontrol show job "$alone" | grep -q "$1"; }
wait_for 60 "job $alone is done" alone_is JobState=COMPLETED
alone_is Restarts=1 || explain "it was not put back into the queue"
has_lines "$work/alone/runs/alone/metrics.jsonl" 3001 || fail "not all steps"
scontrol show job "$cancelled" | grep -q JobState=CANCELLED ||
  explain "it was not cancelled for good"

step "slurmctld is away while a gang ends"
start 7 1 1 3000
wait_for 60 "7-1 trains" has_steps 7 10
freeze "$(gang 7-1)"
slurmctld_stop
slurm_forget
thaw "$(gang 7-1)"
wait_for 60 "7-1 ends" test -e "$gangs/7-1/status"
slurmctld_start
expect 7 1 start '^ended 7-1 done'

step "a node goes down"
start 8 1 1 3000
wait_for 60 "8-1 trains" has_steps 8 10
freeze "$(gang 8-1)"
slurmd_kill
expect 8 1 start '^ended 8-1 lost .*NODE_FAIL'
step "and comes back"
slurmd_start
start 8 2 1 3000 --resume
expect 8 2 start '^ended 8-2 done'
has_steps 8 3001 || fail "not all steps"

step "the accounting tells of what Slurm has forgotten"
# Of the first two the script is killed: it leaves no word. The third saves and
# ends, and what it has said of that is lost.
for job in 9 10 11; do
  start "$job" 1 1 1000000
  launchers+=("$launcher")
done
for job in 9 10 11; do
  wait_for 60 "$job-1 trains" has_steps "$job" 10
done
for launcher in "${launchers[@]}"; do crash; done
number_of() { squeue --noheader --states=all --format=%A --name="caracal-$1"; }
killed=$(number_of 9-1)
scancel --signal=KILL --batch "$killed" "$(number_of 10-1)"
scancel --signal=TERM --batch "$(number_of 11-1)"
wait_for 60 "11-1 ends" test -e "$gangs/11-1/status"
nothing_is_known() { [ -z "$(squeue --noheader --states=all)" ]; }
wait_for 90 "Slurm forgets them" nothing_is_known
rm "$gangs/11-1/status"
launch 9 1 find
expect 9 1 find "^ended 9-1 lost Slurm's job $killed ended as FAILED .signal 9"
SLURM_CONF=$slurm_folder/plain/slurm.conf launch 10 1 find
expect 10 1 find '^ended 10-1 lost Slurm does not know it any more, and it left'
said 10 1 find '^note: .*accounting storage is disabled' || explain "no note"
launch 11 1 find
expect 11 1 find '^ended 11-1 stopped'
step "done"
