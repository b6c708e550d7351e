#!/usr/bin/env bash
# Gangs of real ranks outlive the launcher that started them: after a kill -9
# another one finds them, stops them, and learns how they ended.
source "$(dirname "$0")/common.sh"
launch=("$PWD/$2" "$PWD/$3")
gangs=$work/gangs
launcher=
trap '[ -z "$launcher" ] || kill -KILL "$launcher" 2>/dev/null || true
  for pid in $(ranks_of "$gangs/"); do kill -KILL "$pid" || true; done' EXIT

# The processes of the gangs whose folder begins with $1.
ranks_of() {
  local file
  for file in /proc/[0-9]*/environ; do
    if grep -q -s -z -F "CARACAL_GANG=$1" "$file"; then
      basename "$(dirname "$file")"
    fi
  done 2>/dev/null
}
# start EPOCH ARGUMENTS...: in the background, until its first step is written.
start() {
  local epoch=$1
  shift
  "${launch[@]}" "$gangs" 1 "$epoch" start 2 "$work" --job job.textproto \
    --out "$work/run" "$@" >"$work/started.txt" 2>&1 &
  launcher=$!
  local i
  for ((i = 0; i < 3000; i++)); do
    [ ! -s "$work/run/metrics.jsonl" ] || return 0
    kill -0 "$launcher" || break
    sleep 0.02
  done
  fail "no step: $(cat "$work/started.txt" "$gangs/1-$epoch/output.log")"
}
crash() {
  kill -KILL "$launcher" || fail "it ended: $(cat "$work/started.txt")"
  wait "$launcher" 2>/dev/null || true
  launcher=
}
# find_gang EPOCH WORDS [JOB]: what another launcher tells.
find_gang() {
  "${launch[@]}" "$gangs" "${3-1}" "$1" find >"$work/found.txt" 2>&1 || fail "find"
  cat "$work/found.txt"
  grep -q -E -- "$2" "$work/found.txt" ||
    fail "$2: $(cat "$work/found.txt" "$gangs/${3-1}-$1/output.log")"
}

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
parallel { data: 2 }
threads: 1
JOB

# Stopped by a signal to the supervisor, as a launcher that found it would.
start 1 --set budget.transfer_steps=1000000
crash
[ "$(ranks_of "$gangs/1-1" | wc -l)" -ge 3 ] || fail "no gang after a crash"
supervisor=$(sed -E 's/.*"pid": ?([0-9]+).*/\1/' "$gangs/1-1/claim")
kill -USR1 "$supervisor"
find_gang 1 '^ended 1-1 stopped'
step=$(printf %08d "$(wc -l <"$work/run/metrics.jsonl")")
[ -e "$work/run/checkpoints/checkpoint-$step/manifest.json" ] ||
  fail "step $step is not saved"
rm -r "$work/run"

# Killed with its supervisor: known, and nothing is left.
start 2 --set budget.transfer_steps=1000000
crash
supervisor=$(sed -E 's/.*"pid": ?([0-9]+).*/\1/' "$gangs/1-2/claim")
kill -KILL "$supervisor"
find_gang 2 '^ended 1-2 lost the gang ended without a word'
[ -z "$(ranks_of "$gangs/1-2")" ] || fail "ranks are left"

# A rank is killed: the others tell.
rm -r "$work/run"
start 3 --set budget.transfer_steps=1000000
crash
rank=$(ranks_of "$gangs/1-3" | while read -r pid; do
  [ "$(cat "/proc/$pid/comm")" != caracal-worker ] || echo "$pid"
done | tail -n 1)
kill -KILL "$rank"
find_gang 3 '^ended 1-3 lost rank [01] on .* was lost'

# Found while it runs, and then done.
rm -r "$work/run"
start 4
crash
find_gang 4 '^found 1-4'
grep -q '^ended 1-4 done' "$work/found.txt" || fail "not done"
[ "$(wc -l <"$work/run/metrics.jsonl")" -eq 3001 ] || fail "not all steps"
find_gang 4 '^ended 1-4 done'

# Killed while it starts a gang, which then fails for want of a job: the gang
# has run once, or never will.
for ms in 00 02 04 05 06 07 08 10; do
  "${launch[@]}" "$gangs" 2 "$ms" start 2 "$work" --job missing.textproto \
    >"$work/started.txt" 2>&1 &
  launcher=$!
  sleep "0.0$ms"
  kill -KILL "$launcher" || true
  wait "$launcher" 2>/dev/null || true
  launcher=
  epoch=$((10#$ms))
  find_gang "$epoch" "^ended 2-$epoch (lost .*never started|failed .*missing)" 2
  if grep -q "never started" "$work/found.txt"; then
    [ ! -e "$gangs/2-$epoch/output.log" ] || fail "2-$epoch has run"
  fi
done
