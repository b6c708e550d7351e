#!/usr/bin/env bash
# Builds all GPU tests and benchmarks and copies the binaries, stripped, to a
# folder that can be carried to a machine with a GPU. Shared libraries that such
# a machine may not have, all but the C library's and CUDA's, go to FOLDER/lib:
# run.sh finds them there. FOLDER/whole_models.txt names the tests of tests/gpu.
#
#   tests/gpu/collect.sh FOLDER [bazel options]
set -euo pipefail

if [ "$#" -eq 0 ]; then
  echo "collect.sh: usage: collect.sh FOLDER [bazel options]" >&2
  exit 2
fi
folder=$(realpath -m "$1")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# BAZEL may hold start-up options too.
bazel() { command ${BAZEL:-bazel} "$@"; }

targets=$(bazel query --noshow_progress \
  'attr(tags, "gpu", kind("cc_(test|binary) rule", //...))')
# shellcheck disable=SC2086
bazel build --config=cuda "$@" $targets
mkdir -p "$folder/lib"
: >"$folder/whole_models.txt"
for target in $targets; do
  path=${target#//}
  binary=bazel-bin/${path/://}
  strip -o "$folder/${path##*:}" "$binary"
  if [[ $target == //tests/gpu:*_test ]]; then
    echo "${path##*:}" >>"$folder/whole_models.txt"
  fi
  ldd "$binary" | awk '$3 ~ /^\// { print $3 }' |
    { grep -vE '/cuda|/lib(c|m|dl|rt|pthread|resolv)\.so' || true; } |
    xargs -r -I{} cp -L {} "$folder/lib/"
done
ls "$folder"
