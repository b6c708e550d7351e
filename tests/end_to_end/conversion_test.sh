#!/usr/bin/env bash
# A whole conversion of the tiny model, through the client: pack, run, report,
# attribute, generate, inspect, explain.
source tests/end_to_end/common.sh
prepare

"$caracal" run "$work/job.textproto" --out "$work/run" >"$work/report.txt" \
  2>"$work/progress.txt"
for file in job.textproto metrics.jsonl attribution.json report.html; do
  [ -s "$work/run/$file" ] || fail "the run folder has no $file"
done
[ "$(wc -l <"$work/run/metrics.jsonl")" -eq 12 ] || fail "not 12 steps"
for mode in teacher teacher_swa hybrid swa_only la_only; do
  grep -q "\"$mode\"" "$work/run/attribution.json" || fail "no mode $mode"
  grep -q "$mode" "$work/report.txt" || fail "the report leaves out $mode"
done
grep -qE 'https?://' "$work/run/report.html" &&
  fail "the page is not self-contained"

# The same seed and job give the same bits.
"$caracal" run "$work/job.textproto" --out "$work/again" >/dev/null 2>&1
diff <(losses "$work/run") <(losses "$work/again") ||
  fail "two runs of a job differ"

# Without a measurement --json says where the run is.
"$caracal" run "$work/job.textproto" --out "$work/bare" --json \
  --set evaluation.rows=0 2>/dev/null | grep -qxF "{\"run\":\"$work/bare\"}" ||
  fail "run --json without a measurement"

# What the run measured is what its folder measures.
measure() {
  "$caracal" attribute "$1" --data "$work/heldout.h5" --rows 8 \
    --modes hybrid --json 2>/dev/null | grep -m1 '"loss"'
}
[ "$(measure "$work/run")" = "$(measure "$work/again")" ] ||
  fail "equal checkpoints measure differently"
[ -n "$(measure "$work/run")" ] || fail "no loss was measured"
[ "$(measure "$work/run")" != "$(measure "$model")" ] ||
  fail "the converted model measures as the model it came from"

# Greedy text is repeatable, and the student's is its own.
continue_text() {
  "$caracal" generate "$1" --prompt "In the year" --max-new-tokens 12 \
    --ignore-eos --json | sed -E '/tokens_per_s/d; /cache_bytes/d'
}
[ "$(continue_text "$work/run")" = "$(continue_text "$work/again")" ] ||
  fail "equal checkpoints continue differently"
continue_text "$work/run" | grep -q '"mode": "hybrid"' ||
  fail "a run folder does not generate in hybrid mode"

"$caracal" explain "$work/job.textproto" | grep -q transfer ||
  fail "explain does not show the transfer stage"
"$caracal" inspect "$work/train.h5" | grep -q tokens ||
  fail "inspect does not show the tokens"
"$caracal" inspect "$model" | grep -q q_proj ||
  fail "inspect does not show the model's tensors"

# What must be refused, in one sentence, and with nothing harmed.
before=$(cd "$work/run" && find . -type f -exec sha256sum {} + | sort)
must_fail "--resume" "$caracal" run "$work/job.textproto" --out "$work/run"
must_fail "lr" "$caracal" run "$work/job.textproto" --out "$work/run" \
  --resume --set "stages[0].transfer.lr=0.5"
must_fail "windw" "$caracal" run "$work/job.textproto" --out "$work/other" \
  --set attention.windw=3
must_fail "missing.h5" "$caracal" run "$work/job.textproto" \
  --out "$work/other" --set "data.path=$work/missing.h5"
must_fail "features" "$caracal" run "$work/job.textproto" \
  --out "$work/other" --set attention.features=7
after=$(cd "$work/run" && find . -type f -exec sha256sum {} + | sort)
[ "$before" = "$after" ] || fail "a refused command changed the run folder"
