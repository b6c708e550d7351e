#!/usr/bin/env bash
# Real ranks: the worker under mpirun and `caracal run` with `parallel` train
# what one process trains; a run stopped on one layout goes on on another.
source "$(dirname "$0")/common.sh"
worker=$PWD/$2
# Sockets are made below it, whose paths must be short: TEST_TMPDIR's is not.
TMPDIR=$(mktemp -d /tmp/gang.XXXXXX)
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

make_text >"$work/text.txt"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 64 --out "$work/train.h5" >/dev/null || fail "data pack"

cat >"$work/job.textproto" <<EOF
name: "gang"
preset: "ssd"
model { path: "$model" }
data { path: "$work/train.h5" validation: "$work/train.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 3 finetune_steps: 3 batch: 4 }
validation { rows: 4 }
evaluation { rows: 2 max_new_tokens: 4 }
seed: 7
threads: 1
EOF

losses() {
  python3 - "$1/metrics.jsonl" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    d = json.loads(line)
    print(d["stage"], d["step"], "%.5f" % d["loss"])
PY
}
ranks() {
  mpirun --oversubscribe --bind-to none --mca btl self,vader --mca pml ob1 \
    --mca oob_tcp_if_include lo --quiet -n "$@"
}

"$caracal" run "$work/job.textproto" --out "$work/one" >"$work/log" 2>&1 ||
  fail "a run of one process: $(cat "$work/log")"
[ "$(losses "$work/one" | wc -l)" -eq 6 ] || fail "no six steps"

# One command: the ranks train, this process reports.
"$caracal" run "$work/job.textproto" --out "$work/two" --set parallel.data=2 \
  --json >"$work/two.json" 2>"$work/two.log" ||
  fail "caracal run with two data ranks: $(cat "$work/two.log")"
diff <(losses "$work/one") <(losses "$work/two") || fail "two data ranks"
grep -q '"hybrid"' "$work/two.json" || fail "no report after a gang"

# The worker by hand, other layouts.
# Layers of a chain become data ranks, or what the job says, in fine-tuning.
for layout in "2 parallel.tensor=2" "4 parallel.data=2 parallel.tensor=2" \
  "2 parallel.layer=2 parallel.finetune.tensor=2" \
  "4 parallel.tensor=2 parallel.layer=2"; do
  read -r count first second <<<"$layout"
  out=$work/by_hand_${layout// /_}
  ranks "$count" "$worker" --job "$work/job.textproto" --out "$out" \
    --set "$first" ${second:+--set "$second"} >"$work/log" 2>&1 ||
    fail "mpirun -n $count: $(cat "$work/log")"
  diff <(losses "$work/one") <(losses "$out") || fail "$layout"
done

# As many ranks as the job asks for, or none.
if ranks 2 "$worker" --job "$work/job.textproto" --out "$work/wrong" \
  --set parallel.data=4 >"$work/log" 2>&1; then
  fail "two ranks ran a job of four"
fi
grep -q "4 ranks" "$work/log" || fail "which number is wrong: $(cat "$work/log")"

# What would make ranks disagree later is refused at the start, both values
# named, in one line.
differ() {
  local words=$1
  shift
  local first=("$worker" --job "$work/job.textproto" --set parallel.data=2)
  if ranks 1 "${first[@]}" --out "$work/differ" : -n 1 "${first[@]}" "$@" \
    >"$work/log" 2>&1; then
    fail "ranks with other jobs ran: $words"
  fi
  grep -q -E -- "$words" "$work/log" || fail "$words: $(cat "$work/log")"
  [ "$(grep -c "^caracal-worker:" "$work/log")" -eq 1 ] ||
    fail "not one line: $(cat "$work/log")"
}
differ "job's budget.micro_batch: \"2\" on rank 0 .*\"1\" on rank 1" --out "$work/differ" \
  --set budget.micro_batch=1
differ "checkpoint.every_seconds" --out "$work/differ" \
  --set checkpoint.every_seconds=77
differ "parallel.(data|tensor)" --out "$work/differ" --set parallel.data=1 \
  --set parallel.tensor=2
differ "run folder: .*differ\" on rank 0 .*elsewhere\" on rank 1" --out "$work/elsewhere"
differ "--resume: \"not given\" on rank 0" --out "$work/differ" --resume

# A gang's checkpoint goes on in one process.
rm -r "$work/two/checkpoints/checkpoint-00000006"
"$caracal" run "$work/job.textproto" --out "$work/two" --resume \
  --set evaluation.rows=0 >"$work/log" 2>&1 || fail "resume in one process: $(cat "$work/log")"
grep -q "going on after step 3" "$work/log" || fail "$(cat "$work/log")"
diff <(losses "$work/one") <(losses "$work/two") || fail "resumed in one process"
