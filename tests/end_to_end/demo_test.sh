#!/usr/bin/env bash
# The demo's own conversion script and job file on the tiny model, with a tiny
# budget.
source tests/end_to_end/common.sh
make_text | gzip >"$work/text.txt.gz"
tiny=(--set budget.transfer_steps=2 --set budget.finetune_steps=1
  --set evaluation.rows=2)
bash deploy/convert.sh "$caracal" "$model" "$work/text.txt.gz" "$work/demo" \
  "${tiny[@]}" >"$work/report.txt"
for file in train.h5 heldout.h5 demo.textproto run/report.html; do
  [ -s "$work/demo/$file" ] || fail "no $file"
done
for words in teacher_swa hybrid swa_only; do
  grep -q "$words" "$work/report.txt" || fail "the report leaves out $words"
done
[ "$(wc -l <"$work/demo/run/metrics.jsonl")" -eq 3 ] || fail "not 3 steps"

# Again: there is nothing left to do but the report.
bash deploy/convert.sh "$caracal" "$model" "$work/text.txt.gz" "$work/demo" \
  "${tiny[@]}" >"$work/again.txt"
[ "$(wc -l <"$work/demo/run/metrics.jsonl")" -eq 3 ] || fail "it trained again"

# Rows of another text are not taken for this one's.
{ make_text && echo "One more line."; } | gzip >"$work/other.txt.gz"
before=$(cd "$work/demo" && find . -type f -exec sha256sum {} + | sort)
must_fail "packed from another text" bash deploy/convert.sh "$caracal" \
  "$model" "$work/other.txt.gz" "$work/demo" "${tiny[@]}"
after=$(cd "$work/demo" && find . -type f -exec sha256sum {} + | sort)
[ "$before" = "$after" ] || fail "a refused text changed the folder"

# A short text gets shorter rows; one that is shorter still, a sentence.
make_text >"$work/all.txt"
head -c 9000 "$work/all.txt" >"$work/short.txt"
bash deploy/convert.sh "$caracal" "$model" "$work/short.txt" "$work/short" \
  "${tiny[@]}" >"$work/short_report.txt"
grep -Eq "rows of (256|128) targets" "$work/short_report.txt" ||
  fail "a short text did not get shorter rows: $(head -3 "$work/short_report.txt")"
echo "One sentence." >"$work/sentence.txt"
must_fail "the text is too short" bash deploy/convert.sh "$caracal" "$model" \
  "$work/sentence.txt" "$work/sentence" "${tiny[@]}"

# A start that was killed before it got anywhere is no run to go on with.
mkdir -p "$work/killed/run"
bash deploy/convert.sh "$caracal" "$model" "$work/text.txt.gz" "$work/killed" \
  "${tiny[@]}" >"$work/again.txt"
[ -s "$work/killed/run/report.html" ] || fail "no report"
