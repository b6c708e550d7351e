#!/usr/bin/env bash
# Packs a text and trains two steps on it, and has h5py read both files.
source tests/end_to_end/common.sh
# The system's Python, whichever else comes first in the path.
python=/usr/bin/python3
"$python" -c 'import h5py' ||
  fail "$python has no h5py: deploy/setup.sh installs python3-h5py"

prepare
"$caracal" run "$work/job.textproto" --out "$work/run" \
  --set budget.transfer_steps=1 --set budget.finetune_steps=1 \
  --set evaluation.rows=1 --set checkpoint.every_steps=1 >/dev/null 2>&1
checkpoint=$(ls -d "$work"/run/checkpoints/checkpoint-* | tail -n 1)
"$caracal" inspect "$checkpoint" --json >"$work/checkpoint.json"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 48 --out "$work/whole.h5" --json >"$work/whole.json"

check=$PWD/tests/h5py/check_files.py
"$python" "$check" "$work/whole.h5" "$work/whole.json" "$checkpoint" \
  "$work/checkpoint.json" || fail "h5py does not read what was written"

# The check itself must see a difference.
sed -i 's/"rows": /"rows": 1/' "$work/whole.json"
must_fail "rows" "$python" "$check" "$work/whole.h5" "$work/whole.json" \
  "$checkpoint" "$work/checkpoint.json"
