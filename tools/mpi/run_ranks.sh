#!/usr/bin/env bash
# Runs a program as so many ranks of one MPI job on this machine.
#
#   run_ranks.sh COUNT PROGRAM [ARGUMENT...]
#
# Needs no more cores than there are, no network beyond this machine, and no
# port of its own choice; leaves nothing behind. Exit status 0 only when every
# rank's is.
set -euo pipefail
count=$1
shift

if ! command -v mpirun >/dev/null; then
  echo "run_ranks.sh: no mpirun; deploy/setup.sh installs it (openmpi-bin)" >&2
  exit 1
fi

# Sockets are made below it, whose paths must be short: TEST_TMPDIR's is not.
scratch=$(mktemp -d /tmp/ranks.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

# Tests run as root in containers; nothing here is anybody else's.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Sanitizers: Open MPI keeps a little memory until the end, and what it
# synchronises, being a library, is not seen.
export ASAN_OPTIONS=detect_leaks=0
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 detect_deadlocks=0"

# One machine: shared memory only. Messages between mpirun and the ranks stay
# on the loopback interface.
mpirun --oversubscribe --bind-to none -n "$count" \
  --mca btl self,vader --mca pml ob1 \
  --mca oob_tcp_if_include lo \
  --mca btl_vader_backing_directory "$scratch" \
  "$@"
