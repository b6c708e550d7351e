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

# Another seed of the same job shares a column of the comparison.
"$caracal" run "$work/job.textproto" --out "$work/seed8" --set seed=8 \
  --set evaluation.rows=8 >/dev/null 2>&1 || fail "a run with another seed"
"$caracal" report "$work/run" "$work/seed8" >"$work/compared.txt" ||
  fail "report of two seeds"
grep -qF "run (2 seeds)" "$work/compared.txt" ||
  fail "two seeds are not one column: $(cat "$work/compared.txt")"
grep -qE "seed +7, 8" "$work/compared.txt" || fail "the seeds are not named"
[ "$("$caracal" report "$work/run" "$work/again" --json |
  grep -c '"members"')" -eq 2 ] || fail "the same seed twice is one column"

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

# Text probes: in the report of the run, and asked of its folder, they are the
# same. The tiny teacher knows nothing, so that nobody else is asked.
"$caracal" run "$work/job.textproto" --out "$work/again" --resume --json \
  --set evaluation.probe.kinds=recall --set evaluation.probe.lengths=300 \
  --set evaluation.probe.samples=3 >"$work/probed.json" 2>/dev/null ||
  fail "run with probes"
"$caracal" attribute "$work/again" --probe recall --probe-lengths 300 \
  --probe-samples 3 --html "$work/probes.html" --json \
  >"$work/asked.json" 2>/dev/null || fail "attribute without --data"
probes() {
  grep -A4 '"probe": "recall"' "$1"
}
[ -n "$(probes "$work/asked.json")" ] || fail "no probe in attribute --json"
diff <(probes "$work/probed.json") <(probes "$work/asked.json") ||
  fail "a run and its folder were asked different prompts"
grep -q "cannot tell: the teacher gets" "$work/probes.html" ||
  fail "the page does not say that the teacher cannot"
grep -q "Text probes" "$work/again/report.html" ||
  fail "the run's page has no probes"
must_fail "--data" "$caracal" attribute "$work/run"
must_fail "'pasword'" "$caracal" attribute "$work/run" --probe pasword
must_fail "--probe-lengths" "$caracal" attribute "$work/run" --probe recall \
  --probe-lengths 12x
must_fail "context" "$caracal" attribute "$work/run" --probe recall \
  --probe-lengths 900
must_fail "evaluation.probe.lengths" "$caracal" run "$work/job.textproto" \
  --out "$work/other" --set evaluation.probe.lengths=900

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
