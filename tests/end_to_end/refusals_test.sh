#!/usr/bin/env bash
# What the client refuses, warns about and says, in the user's own terms:
# rows of another tokenizer, contexts too long, damaged checkpoints, folders
# that are not what was meant.
source tests/end_to_end/common.sh
prepare
tiny=(--set budget.transfer_steps=2 --set budget.finetune_steps=1
  --set checkpoint.every_steps=1 --set checkpoint.keep_last=9
  --set evaluation.rows=2)

# Rows that were packed with another tokenizer.
cp -rL "$model" "$work/other"
chmod -R u+w "$work/other"
sed -i 's/<|endoftext|>/<|theend|>/g' "$work/other"/tokenizer*.json
"$caracal" data pack --tokenizer "$work/other" --input "$work/text.txt" \
  --seq-len 48 --out "$work/other.h5" >/dev/null
must_fail "tokenizer" "$caracal" run "$work/job.textproto" --out "$work/run" \
  "${tiny[@]}" --set "data.path=$work/other.h5"
must_fail "tokenizer" "$caracal" run "$work/job.textproto" --out "$work/run" \
  "${tiny[@]}" --set "data.validation=$work/other.h5"
must_fail "tokenizer" "$caracal" attribute "$model" --data "$work/other.h5" \
  --rows 2

# What only model and data can tell, by explain as by run, with its place.
cp "$work/job.textproto" "$work/sinks.textproto"
sed -i 's/sinks: 2/sinks: 48/' "$work/sinks.textproto"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 40 --out "$work/short.h5" >/dev/null
for command in "explain" "run --out $work/run"; do
  must_fail "sinks.textproto:4:30: attention.sinks: is 48, but rows have 48" \
    "$caracal" $command "$work/sinks.textproto"
  must_fail "attention.softmax_layers[0]: is 2, the model has layers 0 to 1" \
    "$caracal" $command "$work/job.textproto" \
    --set attention.softmax_layers=2
  must_fail "data.validation: its rows have 40 tokens" \
    "$caracal" $command "$work/job.textproto" \
    --set "data.validation=$work/short.h5"
done

# A continuation that the model has no room for is refused before training.
must_fail "context of 512" "$caracal" run "$work/job.textproto" \
  --out "$work/run" "${tiny[@]}" --set evaluation.max_new_tokens=600
[ ! -e "$work/run/metrics.jsonl" ] || fail "it trained before it refused"

# A name is no way out of the runs; neither is a file a folder.
must_fail "name: is '../x'" "$caracal" run "$work/job.textproto" \
  --set name=../x
must_fail "is a file" "$caracal" run "$work/job.textproto" \
  --out "$work/text.txt" "${tiny[@]}"
must_fail "holds no run" "$caracal" run "$work/job.textproto" \
  --out "$work/nothing" --resume "${tiny[@]}"

# A GPU that is not there.
if [ ! -e /dev/nvidiactl ]; then
  must_fail "choose the device cpu" "$caracal" run "$work/job.textproto" \
    --out "$work/gpu" "${tiny[@]}" --set device=cuda
  [ ! -e "$work/gpu" ] || fail "it made a folder before it refused"
fi

# None of the failed starts stands in the way of a good one.
"$caracal" run "$work/job.textproto" --out "$work/run" "${tiny[@]}" \
  >/dev/null 2>"$work/err.txt" || fail "blocked: $(cat "$work/err.txt")"

# A checkpoint is not a model by itself.
for path in "$work/run/checkpoints/checkpoint-00000003" \
  "$work/run/checkpoints"; do
  must_fail "give the folder of its run, $work/run" "$caracal" generate \
    "$path" --prompt "In the year" --max-new-tokens 2
done

# The newest checkpoint damaged: the one before it is used, and that is said.
echo more >>"$work/run/checkpoints/checkpoint-00000003/rank-00000.h5"
"$caracal" generate "$work/run" --prompt "In the year" --max-new-tokens 2 \
  >/dev/null 2>"$work/err.txt" || fail "generate: $(cat "$work/err.txt")"
grep -q checkpoint-00000003 "$work/err.txt" || fail "generate does not warn"
"$caracal" attribute "$work/run" --data "$work/heldout.h5" --rows 2 \
  --modes hybrid >/dev/null 2>"$work/err.txt" ||
  fail "attribute: $(cat "$work/err.txt")"
grep -q checkpoint-00000003 "$work/err.txt" || fail "attribute does not warn"
must_fail "checkpoint-00000003" "$caracal" inspect "$work/run"
must_fail "rank-00000.h5: has" "$caracal" inspect \
  "$work/run/checkpoints/checkpoint-00000003"

# All damaged: nothing starts over behind the user's back.
for file in "$work"/run/checkpoints/*/rank-00000.h5; do
  echo more >>"$file"
done
before=$(losses "$work/run")
must_fail "no checkpoint of this run is whole" "$caracal" run \
  "$work/job.textproto" --out "$work/run" --resume "${tiny[@]}"
[ "$before" = "$(losses "$work/run")" ] || fail "the metrics have changed"

# Too little memory is said before it is taken.
must_fail "the weights alone take 29.9 GiB" bash -c \
  'ulimit -v 8000000 && exec "$0" "$@"' "$caracal" bench --shape 8b \
  --stage decode --threads 1
