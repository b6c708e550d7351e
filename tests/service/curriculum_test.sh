#!/usr/bin/env bash
# The coordinator decides what curricula set: the same as one process would,
# until somebody tunes, and as the job says while it is away.
source "$(dirname "$0")/service.sh"
prepare
steps=400
cat >"$work/ssd.textproto" <<JOB
preset: "ssd"
model { path: "$model" }
data { path: "train.h5" validation: "heldout.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 2 finetune_steps: $steps batch: 2 }
curriculum {
  drop { linear { from: 0.9 to: 0.2 } }
  window { linear { from: 12 to: 6 } }
}
validation { rows: 4 every_steps: 1000 }
checkpoint { every_steps: 150 }
evaluation { rows: 0 }
threads: 1
seed: 11
JOB
looped=("$work/ssd.textproto" --set curriculum.closed_loop.every=10)
# The curriculum's values of a run's steps: SERIES KEY RUN.
series() {
  grep '"stage":"finetune"' "$2/metrics.jsonl" |
    sed -E "s/.*\"$1\":([-0-9.e]+).*/\1/"
}

start_daemon
# Schedules and the closed loop, on one rank and on two.
"$caracal" run "$work/ssd.textproto" --out "$work/alone" >/dev/null 2>&1 ||
  fail "caracal run"
"$caracal" run "${looped[@]}" --out "$work/looped" >/dev/null 2>&1 ||
  fail "caracal run"
"$caracal" run "${looped[@]}" --set parallel.data=2 --out "$work/two" \
  >/dev/null 2>&1 || fail "caracal run"
"$caracal" submit "$work/ssd.textproto" >/dev/null
"$caracal" submit "${looped[@]}" >/dev/null
"$caracal" submit "${looped[@]}" --set parallel.data=2 >/dev/null
id=0
for alone in alone looped two; do
  wait_for $((++id)) succeeded
  [ "$(losses "$data/runs/$id")" = "$(losses "$work/$alone")" ] ||
    fail "the curriculum of job $id ($alone)"
  grep -q curriculum_held "$data/runs/$id/metrics.jsonl" && fail "held"
done
"$caracal" watch 2 --json | grep '"kind":"curriculum"' >"$work/decisions.txt"
[ "$(grep -c '"because":"closed loop"' "$work/decisions.txt")" = $((steps / 10)) ] ||
  fail "$(cat "$work/decisions.txt")"

# Tuned while it runs, and let go again.
must_fail "no stage of the job has a curriculum" "$caracal" tune \
  "$("$caracal" submit "$work/job.textproto" --priority -9)" --drop 0.5
"$caracal" cancel 4
must_fail "nothing to tune" "$caracal" tune 1
must_fail "job 1 is succeeded" "$caracal" tune 1 --drop 0.5
"$caracal" submit "$work/ssd.textproto" --set budget.finetune_steps=100000 \
  >/dev/null
eventually "job 5 fine-tunes" has_steps 5 20
must_fail "expected 0 to 1" "$caracal" tune 5 --drop 1.5
"$caracal" tune 5 --drop 0.625 || fail "tune"
is_tuned() { tail -n 1 "$data/runs/5/metrics.jsonl" | grep -q "$1"; }
eventually "p is tuned" is_tuned '"drop_probability":0.625,'
"$caracal" tune 5 --window 7 || fail "tune"
eventually "W is tuned" is_tuned '"drop_probability":0.625,.*"window":7.0'
"$caracal" status 5 | grep -q "tuned *p = 0.625, W = 7" ||
  fail "$("$caracal" status 5)"
"$caracal" tune 5 --clear || fail "tune"
eventually "p is let go" is_tuned '"drop_probability":0.8'
"$caracal" watch 5 --json >"$work/events.txt" &
"$caracal" cancel 5
wait $! || fail "watch"
grep '"kind":"tuned"' "$work/events.txt" | grep -q '"by":"local"' || fail "tuned"
grep -q '"because":"tuned"' "$work/events.txt" || fail "decisions"
wait_for 5 cancelled

# Away: the last values are held, or training waits, as the job says. Both go
# on where they were when it is back.
"$caracal" submit "${looped[@]}" --set budget.finetune_steps=3000 >/dev/null
eventually "job 6 fine-tunes" has_steps 6 20
kill_daemon
holds() { grep -q '"curriculum_held":true' "$data/runs/6/metrics.jsonl"; }
eventually "job 6 holds" holds
grep -q "holds its last values: p = " "$data/gangs/6-1/output.log" ||
  fail "$(cat "$data/gangs/6-1/output.log")"
start_daemon
directed() { tail -n 1 "$data/runs/6/metrics.jsonl" | grep -q -v held; }
eventually "job 6 is directed" directed
"$caracal" cancel 6
wait_for 6 cancelled

paused=("${looped[@]}" --set curriculum.when_away=PAUSE)
"$caracal" submit "${paused[@]}" >/dev/null
eventually "job 7 fine-tunes" has_steps 7 20
kill_daemon
waits() { grep -q "training waits for it" "$data/gangs/7-1/output.log"; }
eventually "job 7 waits" waits
start_daemon
wait_for 7 succeeded
[ "$(losses "$data/runs/7")" = "$(losses "$work/looped")" ] || fail "job 7"
