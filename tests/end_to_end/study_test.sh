#!/usr/bin/env bash
# The study's own script on the tiny model, with a tiny budget: every run, the
# comparison and the tables; and what is done is not done again.
source tests/end_to_end/common.sh
make_text >"$work/text.txt"
study() {
  bash deploy/study/study.sh --caracal "$caracal" --model "$model" \
    --text "$1" --out "$work/study" --seeds 1,2 --budget 2,4 --rows 2 \
    --parallel 2
}
study "$work/text.txt" >"$work/said.txt" 2>"$work/progress.txt" ||
  fail "the study: $(tail -n 40 "$work/progress.txt")"
[ "$(find "$work/study" -name report.html | wc -l)" -eq 16 ] ||
  fail "not 16 runs: $(ls "$work/study")"
[ -s "$work/study/study.html" ] || fail "no comparison"
for words in swa_control lolcats hedgehog inference_hybrid hedgecats ssd \
  "ssd, closed loop" "S = 0" "S = 4"; do
  grep -qF "$words" "$work/study/tables.md" || fail "no $words in the tables"
done
# Two seeds share a line, which gives the mean and both values.
grep -Eq '^\| `lolcats` \| [0-9.]+ \([0-9.]+, [0-9.]+\) ' \
  "$work/study/tables.md" || fail "no mean over seeds"

# One run lost its report: it is measured again, nothing is trained again.
before=$(cat "$work"/study/*/metrics.jsonl | sha256sum)
attribution=$(sha256sum <"$work/study/ssd-s4-seed2/attribution.json")
rm "$work/study/ssd-s4-seed2/report.html" \
  "$work/study/ssd-s4-seed2/attribution.json"
study "$work/text.txt" >"$work/said.txt" 2>"$work/progress.txt" ||
  fail "the study again: $(tail -n 40 "$work/progress.txt")"
[ "$(grep -c 'seed' "$work/progress.txt")" -eq 1 ] ||
  fail "more than one run was touched: $(cat "$work/progress.txt")"
[ "$before" = "$(cat "$work"/study/*/metrics.jsonl | sha256sum)" ] ||
  fail "something was trained again"
[ "$attribution" = \
  "$(sha256sum <"$work/study/ssd-s4-seed2/attribution.json")" ] ||
  fail "a resumed run measures differently"

echo "One more line." >>"$work/text.txt"
must_fail "packed from another text" study "$work/text.txt"
must_fail "--budget is '64'" bash deploy/study/study.sh --budget 64
must_fail "unknown argument '--stesp'" bash deploy/study/study.sh --stesp 3
