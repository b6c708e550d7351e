#!/usr/bin/env bash
# The load script, in short: every answer comes, whatever its time.
set -euo pipefail
tests/load/load.py --folder "$PWD" --work "$TEST_TMPDIR/load" --short
