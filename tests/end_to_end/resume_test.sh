#!/usr/bin/env bash
# kill -9 at random moments of a run, then --resume, again and again: the
# losses and the finished model must be those of a run that nobody touched.
source tests/end_to_end/common.sh
prepare
seed=${TEST_RANDOM_SEED:-1}
RANDOM=$seed
echo "random seed $seed"

start=$EPOCHREALTIME
"$caracal" run "$work/job.textproto" --out "$work/whole" >/dev/null 2>&1
end=$EPOCHREALTIME
whole_us=$((${end/./} - ${start/./}))

# Moments all over a run's length, loading and reporting included. The test
# does not depend on where they fall: a run that ended before its moment came
# has nothing left to go wrong.
for ((i = 0; i < 10; i++)); do
  us=$((whole_us * (RANDOM % 1000) / 1000))
  delay=$(printf '%d.%06d' $((us / 1000000)) $((us % 1000000)))
  status=0
  # Killed while loading, it has not begun a run yet.
  resume=()
  [ ! -e "$work/killed/job.textproto" ] || resume=(--resume)
  timeout --signal=KILL "$delay" "$caracal" run "$work/job.textproto" \
    --out "$work/killed" "${resume[@]}" >/dev/null 2>"$work/err.txt" || status=$?
  # Killed, or done; whatever an earlier kill left must not stop it.
  [ "$status" -eq 137 ] || [ "$status" -eq 0 ] ||
    fail "start $i ended with status $status: $(cat "$work/err.txt")"
done
resume=()
[ ! -e "$work/killed/job.textproto" ] || resume=(--resume)
"$caracal" run "$work/job.textproto" --out "$work/killed" "${resume[@]}" \
  >/dev/null 2>"$work/err.txt" || fail "no way on: $(cat "$work/err.txt")"

diff <(losses "$work/whole") <(losses "$work/killed") ||
  fail "the losses differ from an uninterrupted run's"
for folder in whole killed; do
  "$caracal" attribute "$work/$folder" --data "$work/heldout.h5" --rows 8 \
    --json 2>/dev/null | grep -v '"model"' >"$work/$folder.json"
done
diff "$work/whole.json" "$work/killed.json" ||
  fail "the finished models measure differently"

# An interrupt saves, says how to go on, and is no success.
"$caracal" run "$work/job.textproto" --out "$work/stopped" \
  --set budget.transfer_steps=100000 >/dev/null 2>"$work/err.txt" &
pid=$!
trap 'kill -KILL "$pid" 2>/dev/null || true' EXIT
# Until the first step is written, or the process is gone.
{ tail -F -n +1 --pid="$pid" "$work/stopped/metrics.jsonl" 2>/dev/null || true
} | head -n 1 | grep -q transfer || fail "no step: $(cat "$work/err.txt")"
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[ "$status" -ne 0 ] || fail "an interrupted run is no success"
grep -q -- "--resume" "$work/err.txt" ||
  fail "it did not say how to go on: $(cat "$work/err.txt")"
steps=$(wc -l <"$work/stopped/metrics.jsonl")
"$caracal" run "$work/job.textproto" --out "$work/stopped" --resume \
  --set budget.transfer_steps=$((steps + 2)) >/dev/null 2>"$work/err.txt" &&
  fail "another number of steps is another job"
grep -q steps "$work/err.txt" || fail "it did not name the field"

# The rows that a run began with may be moved, or packed again, but are not to
# change: cursors count them, and losses of before are theirs.
on=("$caracal" run "$work/job.textproto" --out "$work/killed" --resume)
rm -r "$work/killed/checkpoints/checkpoint-00000012"
mkdir "$work/elsewhere"
cp "$work/train.h5" "$work/heldout.h5" "$work/elsewhere"
sed 's/fox/cat/' "$work/text.txt" >"$work/other.txt"
pack() {
  "$caracal" data pack --tokenizer "$model" --input "$1" --seq-len 48 \
    --out "$work/train.h5" --held-out "$work/heldout.h5" \
    --held-out-fraction 0.1 >/dev/null
}
pack "$work/other.txt"
began="that this run began with"
must_fail "$work/train.h5: is not the data.path $began" "${on[@]}"
must_fail "$work/heldout.h5: is not the data.validation $began" "${on[@]}" \
  --set "data.path=$work/elsewhere/train.h5"
must_fail "start a new run with another --out" "${on[@]}" \
  --set "data.validation=$work/elsewhere/heldout.h5"
"${on[@]}" --set "data.path=$work/elsewhere/train.h5" \
  --set "data.validation=$work/elsewhere/heldout.h5" \
  >/dev/null 2>"$work/err.txt" || fail "moved rows: $(cat "$work/err.txt")"
grep -q "going on after step" "$work/err.txt" || fail "$(cat "$work/err.txt")"
diff <(losses "$work/whole") <(losses "$work/killed") || fail "moved rows"
pack "$work/text.txt"
"${on[@]}" >/dev/null 2>"$work/err.txt" ||
  fail "rows packed again: $(cat "$work/err.txt")"
