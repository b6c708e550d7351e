#!/usr/bin/env bash
# Converts a real model on this machine, from nothing to the report: installs
# what is missing, fetches SmolLM2-135M-Instruct, builds, packs a text,
# converts, and says what the linear part contributes.
#
#   deploy/demo.sh [--text FILE] [--out DIR] [--steps TRANSFER,FINETUNE]
#                  [--check]
#
# --text   the text to train on, plain, .gz or .zst; default: the English
#          Debian reference
# --out    where everything is written; a run that was interrupted there goes
#          on. Default: a new folder in the user's cache folder
# --steps  optimiser steps of the two stages; default: those of the job file
# --check  first compares the model's numbers with the committed golden ones,
#          training included: some minutes
set -euo pipefail

fail() {
  echo "demo.sh: $*" >&2
  exit 1
}

text=/usr/share/debian-reference/debian-reference.en.txt.gz
out= steps= check=false
while [ $# -gt 0 ]; do
  case "$1" in
    --text | --out | --steps)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case "$1" in
        --text) text=$(realpath -- "$2") ;;
        --out) out=$(realpath -m -- "$2") ;;
        --steps) steps=$2 ;;
      esac
      shift 2
      ;;
    --check) check=true && shift ;;
    *) fail "unknown argument '$1' (--text, --out, --steps or --check)" ;;
  esac
done
[[ -z "$steps" || "$steps" =~ ^[0-9]+,[0-9]+$ ]] ||
  fail "--steps is '$steps'; expected two numbers such as 32,16"

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/home.sh
deploy/setup.sh --with-demo
[ -r "$text" ] || fail "cannot read the text $text"

model=$(deploy/fetch_model.sh)

echo "Building"
bazel build //jobs/client:caracal
caracal=$PWD/bazel-bin/jobs/client/caracal
if $check; then
  bazel test --test_env=CARACAL_SMOLLM2="$model" \
    //tests/model:smollm2_test //tests/model:smollm2_training_test
fi

out=${out:-${XDG_CACHE_HOME:-$HOME/.cache}/caracal/demo/$(date +%Y%m%d-%H%M%S)}
options=()
[ -z "$steps" ] || options=(--set "budget.transfer_steps=${steps%,*}"
  --set "budget.finetune_steps=${steps#*,}")
deploy/convert.sh "$caracal" "$model" "$text" "$out" "${options[@]}"

echo
echo "Everything is in $out; the report is $out/run/report.html. To talk to it:"
echo "  $caracal generate $out/run --prompt 'Once upon a time'" \
  "--max-new-tokens 64"
