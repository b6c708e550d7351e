#!/usr/bin/env bash
# Gangs of real ranks under a real Slurm: done, cancelled, stopped, at the end
# of their time, with their node, and with launchers that are killed.
source "$(dirname "$0")/../end_to_end/common.sh"
source "$(dirname "$0")/real_slurm.sh"
slurm_gang=$PWD/$2 worker=$PWD/$3
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
said() { grep -q -E -- "$4" "$work/told.$1.$2.$3"; }
explain() {
  tail -n 50 "$work"/told.* "$gangs"/*/output.log >&2 || true
  fail "$*"
}
# wait_for SECONDS WORDS COMMAND...
wait_for() { slurm_until "$@" || explain "$2"; }
expect() {
  wait_for 90 "$1-$2 $3: $4" said "$@"
  tail -n 1 "$work/told.$1.$2.$3"
}
steps_of() { wc -l 2>/dev/null <"$work/run.$1/metrics.jsonl" || echo 0; }
has_steps() { [ "$(steps_of "$1")" -ge "$2" ]; }
crash() {
  kill -KILL "$launcher"
  wait "$launcher" 2>/dev/null || true
}
# The processes of the gangs whose folder begins with $1.
ranks_of() {
  local file
  for file in /proc/[0-9]*/environ; do
    if grep -q -s -z -F "CARACAL_GANG=$1" "$file"; then
      basename "$(dirname "$file")"
    fi
  done 2>/dev/null
}
since=$SECONDS
step() { echo "[$((SECONDS - since)) s] $*"; }

make_text >"$work/text.txt"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 48 --out "$work/train.h5" >/dev/null || fail "data pack"
cat >"$work/job.textproto" <<JOB
preset: "lolcats"
model { path: "$model" }
data { path: "train.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 3000 finetune_steps: 1 batch: 2 }
evaluation { rows: 0 }
threads: 1
JOB
slurm_start || fail "no Slurm"
step "Slurm runs"

step "two ranks run to their end"
start 1 1 2 100
expect 1 1 start '^ended 1-1 done'
has_steps 1 101 || fail "not all steps"
