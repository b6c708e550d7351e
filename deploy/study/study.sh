#!/usr/bin/env bash
# The study of docs/study.md, from nothing to its tables: converts
# SmolLM2-135M-Instruct by every preset at equal budgets, measures each, and
# compares them. Two hours on two idle cores. Interrupted, the same command
# goes on where it was: runs that are done are kept, the others resumed.
#
#   deploy/study/study.sh [--text FILE] [--out DIR] [--seeds LIST]
#                         [--budget TRANSFER,FINETUNE] [--rows N]
#                         [--model MODEL] [--caracal FILE] [--parallel N]
#
# --text      the text, plain or JSON lines, also .gz or .zst; its last tenth
#             is held out. Default: the English Debian reference
# --out       where everything is written. Default: study in the user's cache
#             folder. A folder that holds another text's rows is refused
# --seeds     such as 1,2 (the default); each but the first repeats only the
#             runs with sinks
# --budget    optimiser steps of the two stages, 2 rows of 512 tokens each.
#             Default: 64,32
# --rows      held-out rows that are scored. Default: 20
# --model     another model: a GGUF file or a Hugging Face folder
# --caracal   the client's program, built already
# --parallel  runs at a time; each gets its share of the cores. Default: 1
set -euo pipefail

fail() {
  echo "study.sh: $*" >&2
  exit 1
}

text=/usr/share/debian-reference/debian-reference.en.txt.gz
out= seeds=1,2 budget=64,32 rows=20 model= caracal= parallel=1
while [ $# -gt 0 ]; do
  case "$1" in
    --text | --out | --seeds | --budget | --rows | --model | --caracal | \
      --parallel)
      [ $# -ge 2 ] || fail "$1 needs a value"
      ;;
    *) fail "unknown argument '$1'" ;;
  esac
  case "$1" in
    --text) text=$(realpath -- "$2") ;;
    --out) out=$(realpath -m -- "$2") ;;
    --seeds) seeds=$2 ;;
    --budget) budget=$2 ;;
    --rows) rows=$2 ;;
    --model) model=$(realpath -- "$2") ;;
    --caracal) caracal=$(realpath -- "$2") ;;
    --parallel) parallel=$2 ;;
  esac
  shift 2
done
[[ "$seeds" =~ ^[0-9]+(,[0-9]+)*$ ]] ||
  fail "--seeds is '$seeds'; expected numbers such as 1,2"
[[ "$budget" =~ ^[0-9]+,[0-9]+$ ]] ||
  fail "--budget is '$budget'; expected two numbers such as 64,32"
[[ "$rows" =~ ^[1-9][0-9]*$ ]] || fail "--rows is '$rows'; expected a number"
[[ "$parallel" =~ ^[1-9][0-9]*$ ]] ||
  fail "--parallel is '$parallel'; expected a number from 1"

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source deploy/home.sh
if [ -z "$caracal" ]; then
  deploy/setup.sh --with-demo
  bazel build //jobs/client:caracal
  caracal=$PWD/bazel-bin/jobs/client/caracal
fi
[ -r "$text" ] || fail "cannot read the text $text"
[ -n "$model" ] || model=$(deploy/fetch_model.sh)
out=${out:-${XDG_CACHE_HOME:-$HOME/.cache}/caracal/study}
job=$PWD/deploy/study/study.textproto

mkdir -p -- "$out"
cp -- "$job" "$out/study.textproto"
digest=$(sha256sum <"$text" | cut -d' ' -f1)
if [ -e "$out/text.sha256" ]; then
  [ "$(cat "$out/text.sha256")" = "$digest" ] ||
    fail "the rows in $out were packed from another text than $text:" \
      "give another folder"
else
  "$caracal" data pack --tokenizer "$model" --input "$text" \
    --seq-len 512 --out "$out/train.h5" --held-out "$out/heldout.h5"
  echo "$digest" >"$out/text.sha256"
fi

# One line a run: its folder, then the fields it sets.
plan() {
  local seed=$1 all_sinks=$2
  # Validation is frequent where it decides something.
  echo "lolcats-s4-seed$seed preset=lolcats"
  echo "ssd-s4-seed$seed preset=ssd"
  echo "ssd_closed_loop-s4-seed$seed preset=ssd" \
    "curriculum.drop.constant=0.5 curriculum.closed_loop.every=4"
  echo "hedgecats-s4-seed$seed preset=hedgecats validation.every_steps=4"
  echo "inference_hybrid-s4-seed$seed preset=inference_hybrid"
  echo "swa_control-s4-seed$seed preset=swa_control"
  if $all_sinks; then
    echo "lolcats-s0-seed$seed preset=lolcats attention.sinks=0"
    echo "hedgehog-s0-seed$seed preset=hedgehog attention.sinks=0"
  fi
  echo "hedgehog-s4-seed$seed preset=hedgehog"
}
plan_all() {
  local all_sinks=true seed
  for seed in ${seeds//,/ }; do
    plan "$seed" $all_sinks
    all_sinks=false
  done
}

cores=$(nproc)
threads=$((cores > parallel ? cores / parallel : 1))
run_one() {
  local name=$1 options=() field status=0
  shift
  [ ! -e "$out/$name/report.html" ] || return 0
  for field in "$@" "model.path=$model" "seed=${name##*seed}" "name=$name" "threads=$threads" \
    "budget.transfer_steps=${budget%,*}" "budget.finetune_steps=${budget#*,}" \
    "evaluation.rows=$rows"; do
    options+=(--set "$field")
  done
  [ ! -e "$out/$name/job.textproto" ] || options+=(--resume)
  echo "$(date +%T) $name" >&2
  "$caracal" run "$out/study.textproto" --out "$out/$name" "${options[@]}" \
    >"$out/$name.log" 2>&1 || status=$?
  [ "$status" -eq 0 ] ||
    fail "$name ended with status $status; its output is $out/$name.log:
$(tail -n 3 "$out/$name.log")"
}
export -f run_one fail
export out caracal model threads budget rows
# A run's arguments hold no blanks.
plan_all | xargs -P "$parallel" -I{} bash -c 'set -euo pipefail; run_one {}' ||
  fail "not every run ended; the same command goes on from here"

names=()
while read -r name _; do names+=("$out/$name"); done < <(plan_all)
"$caracal" report "${names[@]}" --html "$out/study.html" \
  >"$out/study.txt"
python3 deploy/study/tables.py "$out" --caracal "$caracal" >"$out/tables.md"
cat "$out/study.txt"
echo
echo "Everything is in $out: the comparison as a page is $out/study.html, the" \
  "tables are $out/tables.md, and each run's folder has its own report.html."
