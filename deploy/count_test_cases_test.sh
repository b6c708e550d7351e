#!/usr/bin/env bash
# count_test_cases.py on made-up runs: what counts, and the exit status.
set -euo pipefail
script=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# suite NAME TESTS FAILURES ERRORS SKIPPED DISABLED: writes NAME.xml
suite() {
  cat >"$work/$1.xml" <<XML
<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="99" failures="99">
  <testsuite name="a" tests="$2" failures="$3" errors="$4" skipped="$5"
    disabled="$6"></testsuite>
</testsuites>
XML
}

# result LABEL SHARD ATTEMPT STATUS NAME
result() {
  echo '{"id":{"testResult":{"label":"'"$1"'","run":1,"shard":'"$2"\
',"attempt":'"$3"'}},"testResult":{"status":"'"$4"\
'","testActionOutput":[{"name":"test.xml","uri":"file://'"$work/$5.xml"'"}]}}'
}

configured() {
  echo '{"id":{"targetConfigured":{"label":"'"$1"\
'"}},"configured":{"targetKind":"cc_test rule","testSize":"MEDIUM"}}'
}
built() {
  echo '{"id":{"targetCompleted":{"label":"'"$1"'"}},"completed":{'"$2"'}}'
}
skipped() {
  echo '{"id":{"targetCompleted":{"label":"'"$1"\
'"}},"aborted":{"reason":"SKIPPED"}}'
}
finished() {
  echo '{"id":{"buildFinished":{}},"finished":{"exitCode":{"name":"'"$1"'"}}}'
}

# check NAME STATUS "LAST LINE": reads the events from standard input
check() {
  cat >"$work/events.json"
  local status=0 last
  last=$(python3 "$script" "$work/events.json" | tail -n 1) || status=$?
  if [ "$status" != "$2" ] || [ "$last" != "$3" ]; then
    echo "$1: status $status, '$last'; expected $2, '$3'"
    failures=$((failures + 1))
  fi
}

suite good 5 0 0 1 1
suite more 4 0 0 0 0
suite bad 4 1 1 0 0
suite crash 1 0 1 0 0
echo "not XML" >"$work/broken.xml"

{ result //a:t 1 1 PASSED good; result //b:t 1 1 PASSED more
  finished SUCCESS; } | check "skipped and disabled are no passes" 0 \
  "7 passed, 0 failed"
{ result //a:t 1 1 PASSED good; result //a:t 2 1 PASSED more
  finished SUCCESS; } | check "shards add up" 0 "7 passed, 0 failed"
{ result //a:t 1 2 PASSED more; result //a:t 1 1 FAILED bad
  finished SUCCESS; } | check "the last attempt counts" 0 "4 passed, 0 failed"
{ result //a:t 1 1 FAILED bad; result //b:t 1 1 PASSED more
  finished TESTS_FAILED; } | check "failures" 1 "6 passed, 2 failed"
{ result //a:t 1 1 FAILED crash; finished TESTS_FAILED; } |
  check "a crash" 1 "0 passed, 1 failed"
{ result //a:t 1 1 FAILED more; finished TESTS_FAILED; } |
  check "all cases pass, the program fails" 1 "4 passed, 1 failed"
{ result //a:t 1 1 TIMEOUT missing; result //b:t 1 1 FAILED broken
  finished TESTS_FAILED; } | check "no readable XML" 1 "0 passed, 2 failed"
{ configured //a:t; configured //b:t; result //b:t 1 1 PASSED more
  built //a:t ''; built //a:lib ''; built //b:t '"success":true'
  finished BUILD_FAILURE; } | check "a test not built" 1 "4 passed, 1 failed"
{ result //b:t 1 1 PASSED more; built //a:lib ''; finished BUILD_FAILURE; } |
  check "a library not built" 1 "4 passed, 1 failed"
{ result //b:t 1 1 PASSED more; } |
  check "Bazel died" 1 "4 passed, 1 failed"
{ configured //a:gpu; skipped //a:gpu; skipped //a:lib
  result //b:t 1 1 PASSED more; finished SUCCESS; } |
  check "what is not for this build" 0 "4 passed, 0 failed"
{ finished SUCCESS; } | check "nothing ran" 1 "0 passed, 0 failed"

[ "$failures" -eq 0 ]
