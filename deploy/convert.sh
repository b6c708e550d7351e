#!/usr/bin/env bash
# The demo's conversion with everything at hand: packs a text, converts a
# model by deploy/demo.textproto, reports. A run that was interrupted goes on.
#
#   deploy/convert.sh CARACAL MODEL TEXT OUT [options of `caracal run`]
#
# CARACAL  the client's program
# MODEL    a GGUF file or a Hugging Face folder
# TEXT     plain, .gz or .zst; its end is held out for the report
# OUT      the folder to write: packed text, job file, run folder. One that
#          holds rows of another text is refused
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: convert.sh CARACAL MODEL TEXT OUT [options of caracal run]" >&2
  exit 2
fi
caracal=$1 model=$(realpath -- "$2") text=$3 out=$4
shift 4
job=$(dirname "${BASH_SOURCE[0]}")/demo.textproto

# Rows of 512 tokens; of a short text shorter ones, as long as they still hold
# more than the window. A tenth is held out and has to fill a row.
pack() {
  local length said
  for length in 512 256 128; do
    if said=$("$caracal" data pack --tokenizer "$model" --input "$text" \
      --seq-len "$length" --out "$out/train.h5" --held-out "$out/heldout.h5" \
      --held-out-fraction 0.1 2>&1); then
      printf '%s\n' "$said"
      return
    fi
    case "$said" in
      *"a smaller --seq-len"*) ;;
      *) break ;;
    esac
  done
  printf '%s\n' "$said" >&2
  [ "$length" != 128 ] ||
    echo "convert.sh: the text is too short: ten rows of 128 tokens are" \
      "needed, about 6 KB of English" >&2
  return 1
}

mkdir -p -- "$out"
# The job file names the model and the rows beside it.
name=$(sed -n 's/^model { path: "\(.*\)" }$/\1/p' "$job")
ln -sfn -- "$model" "$out/$name"
# The text that the rows in the folder were packed from.
digest=$(sha256sum <"$text" | cut -d' ' -f1)
packed=$out/text.sha256
if [ -e "$out/train.h5" ] && [ -e "$out/heldout.h5" ]; then
  if [ -e "$packed" ] && [ "$(cat "$packed")" != "$digest" ]; then
    echo "convert.sh: the rows in $out were packed from another text than" \
      "$text (SHA-256 $(cat "$packed"), not $digest): give another folder" >&2
    exit 1
  fi
else
  echo "$digest" >"$packed"
  pack
fi
cp -- "$job" "$out/demo.textproto"

resume=()
[ -e "$out/run/job.textproto" ] && resume=(--resume)
"$caracal" run "$out/demo.textproto" --out "$out/run" "${resume[@]}" "$@"
