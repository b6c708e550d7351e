#!/usr/bin/env bash
# The tables of docs/scaling.md are what `caracal plan` says.
set -euo pipefail
python3 "$1" --caracal "$2" --check "$3"
