#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test on the CPU, and
# ends with a line "N passed, M failed" that counts test cases. Exit status 0
# only when everything was built and passed. Further arguments go to Bazel.
#
#   deploy/test.sh [bazel options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source deploy/home.sh
deploy/setup.sh

events=$(mktemp)
trap 'rm -f "$events"' EXIT

# One command builds every target and runs every test; nothing that fails
# keeps the rest from running.
bazel_status=0
bazel test --keep_going --jobs="$(nproc)" --test_output=errors \
  --show_progress --show_progress_rate_limit=20 \
  --build_event_json_file="$events" "$@" //... || bazel_status=$?

count_status=0
python3 deploy/count_test_cases.py "$events" || count_status=$?
[ "$bazel_status" -eq 0 ] && [ "$count_status" -eq 0 ]
