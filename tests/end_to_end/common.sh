# What the end-to-end tests share. Sourced with the client as $1; sets
# `caracal`, `model` and `work` (an empty folder).
set -euo pipefail
caracal=$PWD/$1
model=$PWD/tests/golden/model/tiny_gqa
work=${TEST_TMPDIR:?}/$(basename "$0" .sh)
mkdir -p "$work"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# must_fail WORDS COMMAND...: the command must exit with a status other than
# 0, at its own will, and say something with WORDS in it on standard error.
must_fail() {
  local words=$1 status=0
  shift
  "$@" >"$work/out.txt" 2>"$work/err.txt" || status=$?
  [ "$status" -ne 0 ] && [ "$status" -lt 128 ] ||
    fail "'$*' exited with $status"
  grep -qF -- "$words" "$work/err.txt" ||
    fail "'$*' did not say '$words' but: $(cat "$work/err.txt")"
}

# About 60 kB of text that is not all alike.
make_text() {
  local i
  for ((i = 0; i < 700; i++)); do
    echo "In the year $((1000 + i * 7 % 913)) there were $((i * i % 97)) of" \
      "them, and the fox that runs over the dog sees $((i % 11)) tokens."
  done
}

# Rows of 48 tokens for the tiny model, and a job of both stages on them.
prepare() {
  make_text >"$work/text.txt"
  "$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
    --seq-len 48 --out "$work/train.h5" --held-out "$work/heldout.h5" \
    --held-out-fraction 0.1 >/dev/null
  cat >"$work/job.textproto" <<JOB
preset: "lolcats"
model { path: "$model" }
data { path: "train.h5" validation: "heldout.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 6 finetune_steps: 6 batch: 4 micro_batch: 2 }
validation { every_steps: 3 rows: 4 }
checkpoint { every_steps: 2 }
evaluation { rows: 8 prompt: "In the year" max_new_tokens: 8 }
threads: 2
seed: 7
JOB
}

# The metrics of a run folder without what differs from run to run.
losses() {
  sed -E 's/,?"tokens_per_s":[^,}]*//' "$1/metrics.jsonl"
}
