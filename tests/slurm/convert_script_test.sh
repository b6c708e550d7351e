#!/usr/bin/env bash
# What deploy/slurm/convert.sbatch makes of its arguments, by a srun that only
# writes down what it was to run.
set -euo pipefail
script=$PWD/deploy/slurm/convert.sbatch
work=${TEST_TMPDIR:?}/convert
mkdir -p "$work/bin" "$work/a.b"
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
cat >"$work/bin/srun" <<'SRUN'
#!/bin/bash
# Of the rank's words only what follows its program; 77: no rank was started.
while [ "$1" != "$CARACAL_WORKER" ]; do shift; done
shift
printf '<%s>' "$@" >"$ASKED"
exit 77
SRUN
chmod +x "$work/bin/srun"
export PATH=$work/bin:$PATH ASKED=$work/asked.txt CARACAL_WORKER=/bin/true
export SLURM_JOB_ID=7 SLURM_CPUS_ON_NODE=1
cd "$work"
touch job .textproto job.textproto a.b/job -- -x.textproto 'two words.json'

# asks WORDS ARGUMENTS...: with these arguments, the worker is asked for WORDS.
asks() {
  local words=$1 status=0
  shift
  rm -f "$ASKED"
  bash "$script" "$@" >err.txt 2>&1 || status=$?
  [ "$status" -eq 77 ] || fail "'$*': exit status $status: $(cat err.txt)"
  [ "$(cat "$ASKED")" = "$words" ] || fail "'$*': $(cat "$ASKED")"
}
# refuses WORDS ARGUMENTS...
refuses() {
  local words=$1 status=0
  shift
  bash "$script" "$@" >err.txt 2>&1 || status=$?
  [ "$status" -eq 1 ] || fail "'$*': exit status $status"
  grep -q -F -e "$words" err.txt || fail "'$*': $(cat err.txt)"
}

# The run folder has the job's name, and no dot of a folder cuts it.
asks '<--job><job.textproto><--out><runs/job>' job.textproto
asks '<--job><./job><--out><runs/job>' ./job
asks '<--job><a.b/job><--out><runs/job>' a.b/job
asks "<--job><$work/a.b/job><--out><runs/job>" "$work/a.b/job"
asks '<--job><.textproto><--out><runs/.textproto>' .textproto
asks '<--job><./-x.textproto><--out><runs/-x>' ./-x.textproto
asks '<--job><two words.json><--out><runs/two words>' 'two words.json'

# --out in each of its forms, wherever it stands.
for out in '--out a/b' '--out=a/b'; do
  asks '<--job><job><--out><a/b><--set><seed=1>' job $out --set seed=1
  asks '<--job><job><--out><a/b><--set><seed=1>' job --set seed=1 $out
done
refuses "--out needs a folder" job --out
refuses "--out needs a folder" job --out=
refuses "--out needs a folder" job --out ''
refuses "which job?" --out a/b job
refuses "can't read a.b in" a.b
