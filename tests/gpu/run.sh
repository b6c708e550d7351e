#!/usr/bin/env bash
# Runs all GPU tests from carried binaries: on a machine with a GPU and CUDA 13
# but no Bazel. cuBLASLt is found where the loader looks, or in the folder of the
# toolkit that the binaries were built with. Ends with "N passed, M failed" (test
# cases); exit status 0 only if none failed.
#
#   tests/gpu/run.sh FOLDER [compute-sanitizer tool...]
#
# FOLDER holds the test binaries (*_test), as tests/gpu/collect.sh copies them.
# With tools (memcheck racecheck initcheck), runs the binaries under each, too,
# on cases of at most MOST_ROWS rows (150); not those of NCCL, whose kernels wait
# for each other. On one GPU these are skipped. Whole models (those of tests/gpu)
# are left to memcheck: racecheck looks at shared memory, which is a kernel's own,
# and initcheck does not see what cuBLASLt stores. Nor does racecheck run the tests
# of plain products and adapters: it reports cuBLASLt's own kernels, and to leave
# these out makes them fail. CARACAL_TEST_MODEL names a model for the cases that want
# a real one.
set -uo pipefail

refuse() {
  echo "run.sh: $1" >&2
  exit 2
}
if [ "$#" -eq 0 ]; then refuse "usage: run.sh FOLDER [compute-sanitizer tool...]"; fi
folder=$1
shift
if ! compgen -G "$folder/*_test" >/dev/null; then
  refuse "$folder holds no test; tests/gpu/collect.sh $folder copies them there"
fi
if [ "$#" -gt 0 ] && ! command -v compute-sanitizer >/dev/null; then
  refuse "there is no compute-sanitizer in PATH; it comes with CUDA's toolkit"
fi
passed=0 failed=0 skipped=0
export LD_LIBRARY_PATH=$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# Counts a googletest log; a binary that dies counts as one failure.
count() {
  local log=$1 status=$2 ok bad left
  ok=$(grep -c '^\[       OK \]' "$log")
  bad=$(grep -c '^\[  FAILED  \].*ms)$' "$log")
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  if [ "$((ok + bad))" -eq 0 ] && ! grep -q '^\[  SKIPPED \]' "$log"; then
    bad=1
  fi
  left=$(grep -c '^\[  SKIPPED \].*ms)$' "$log")
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for test in "$folder"/*_test; do
  for tool in "" "$@"; do
    name=${test##*/}
    # Memory that runs out is a test's own doing, and told by ours.
    options=()
    if [ "$tool" = memcheck ]; then options=(--report-api-errors no); fi
    if [ -n "$tool" ] && [[ $name == nccl_* ]]; then continue; fi
    if [[ $tool == @(racecheck|initcheck) ]] &&
      grep -qx "$name" "$folder/whole_models.txt"; then
      continue
    fi
    if [ "$tool" = racecheck ] && [[ $name == @(lora|matmul)_cuda_test ]]; then
      continue
    fi
    echo "== $name $tool"
    if [ -z "$tool" ]; then
      "$test" >"$log" 2>&1
    else
      MOST_ROWS=${MOST_ROWS:-150} \
        compute-sanitizer --tool "$tool" --error-exitcode 1 \
        "${options[@]}" "$test" --gtest_filter='-*TwoGpus*' >"$log" 2>&1
    fi
    status=$?
    grep -v '^\[ RUN\|^Running main\|^\[---' "$log" | tail -n 40
    count "$log" "$status"
  done
done

echo "$skipped skipped: each has said for want of what"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
