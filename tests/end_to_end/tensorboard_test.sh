#!/usr/bin/env bash
# TensorBoard's files hold what metrics.jsonl does, also after a run that was
# resumed from before its last step.
source tests/end_to_end/common.sh
prepare
sed -i 's|"lolcats"|"ssd"|' "$work/job.textproto"
echo 'curriculum { drop { constant: 0.5 } closed_loop { every: 3 } }' \
  >>"$work/job.textproto"
read_events=(python3 tests/end_to_end/read_events.py)
"$caracal" run "$work/job.textproto" --out "$work/run" >/dev/null \
  2>"$work/err.txt" || fail "run: $(cat "$work/err.txt")"
"${read_events[@]}" "$work/run" 1 >"$work/tags.txt" || fail "values differ"
for tag in transfer/{loss,mse,learning_rate,tokens_per_s,validation_loss} \
  finetune/{loss,drop_probability,u,u_star,r} {transfer,finetune}/la_mass \
  finetune_la_mass/layer_001; do
  grep -q -w "$tag" "$work/tags.txt" || fail "no $tag in $(cat "$work/tags.txt")"
done

# Killed in the middle of a record, and later than its checkpoint.
rm -r "$work"/run/checkpoints/checkpoint-0000001? "$work/run/report.html"
events=$(ls "$work"/run/*tfevents*)
truncate --size=-20 "$events"
"$caracal" run "$work/job.textproto" --out "$work/run" --resume >/dev/null \
  2>"$work/err.txt" || fail "resume: $(cat "$work/err.txt")"
"${read_events[@]}" "$work/run" 2 || fail "values differ after --resume"
# A run that has nothing to train leaves no file behind.
"$caracal" run "$work/job.textproto" --out "$work/run" --resume >/dev/null \
  2>"$work/err.txt" || fail "resume: $(cat "$work/err.txt")"
"${read_events[@]}" "$work/run" 2 || fail "after a run of no step"

# The reader sees a difference.
sed -i 's|"u_star":|"u_star":1|' "$work/run/metrics.jsonl"
must_fail "in metrics.jsonl" "${read_events[@]}" "$work/run"
