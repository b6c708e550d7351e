#!/usr/bin/env bash
# The short form of a drill: drill_test.sh CARACAL DRILL [ARGUMENT...]
set -euo pipefail
caracal=$1 drill=$2
shift 2
exec python3 "$drill" --caracal "$caracal" \
  --model tests/golden/model/tiny_gqa "$@"
