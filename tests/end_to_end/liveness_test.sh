#!/usr/bin/env bash
# Ranks that die, hang or raise: the gang ends soon, one line says which rank,
# where, when and why, and the exit status tells whether to resume.
source "$(dirname "$0")/common.sh"
worker=$PWD/$2
# Sockets are made below it, whose paths must be short: TEST_TMPDIR's is not.
TMPDIR=$(mktemp -d /tmp/liveness.XXXXXX)
gang= stopper=
trap 'for pid in $gang $stopper; do kill -KILL "$pid" 2>/dev/null; done
  rm -rf "$TMPDIR"' EXIT
export TMPDIR OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export CARACAL_HEARTBEAT_TIMEOUT=3

make_text >"$work/text.txt"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 48 --out "$work/train.h5" >/dev/null || fail "data pack"
cat >"$work/job.textproto" <<EOF
preset: "lolcats"
model { path: "$model" }
data { path: "train.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 100000 finetune_steps: 1 batch: 3 }
evaluation { rows: 0 }
parallel { data: 3 }
threads: 1
EOF

# start HOW RUN: in the background, until its first step is written.
start() {
  local how=$1 run=$work/$2
  shift 2
  if [ "$how" = mpirun ]; then
    mpirun --oversubscribe --bind-to none --mca btl self,vader --mca pml ob1 \
      --mca oob_tcp_if_include lo --quiet -n 3 "$worker" \
      --job "$work/job.textproto" --out "$run" "$@" 2>"$work/err.txt" &
  else
    "$caracal" run "$work/job.textproto" --out "$run" "$@" \
      >/dev/null 2>"$work/err.txt" &
  fi
  gang=$!
  { tail -F -n +1 --pid="$gang" "$run/metrics.jsonl" 2>/dev/null || true
  } | head -n 1 | grep -q transfer || fail "no step: $(cat "$work/err.txt")"
}
# pid_of RANK: of the gang's.
pid_of() {
  local pid
  for pid in $(pgrep -x caracal-worker); do
    if grep -q -s -z -x "TMPDIR=$TMPDIR" "/proc/$pid/environ" &&
      grep -q -s -z -x "OMPI_COMM_WORLD_RANK=$1" "/proc/$pid/environ"
    then
      echo "$pid"
      return
    fi
  done
  fail "no rank $1"
}
# ends STATUS WORDS: within 10 s, with one line of the ranks.
ends() {
  local began=$SECONDS status=0
  wait "$gang" || status=$?
  gang=
  [ $((SECONDS - began)) -le 10 ] || fail "it took $((SECONDS - began)) s"
  echo "$2: $((SECONDS - began)) s"
  [[ " $1 " == *" $status "* ]] ||
    fail "exit status $status, not $1: $(cat "$work/err.txt")"
  grep "^caracal-worker: " "$work/err.txt" >"$work/lines.txt" || true
  [ "$(wc -l <"$work/lines.txt")" -eq 1 ] ||
    fail "not one line: $(cat "$work/err.txt")"
  grep -q -E -- "$2" "$work/lines.txt" || fail "$2: $(cat "$work/err.txt")"
  ! pgrep -f "^$worker.*$work/job.textproto" >/dev/null ||
    fail "ranks are left"
}
# saved RUN: the last step that was taken.
saved() {
  local step
  step=$(wc -l <"$work/$1/metrics.jsonl")
  step=checkpoint-$(printf %08d "$step")
  [ -e "$work/$1/checkpoints/$step/manifest.json" ] ||
    fail "$step is missing: $(ls "$work/$1/checkpoints")"
}
host=$(hostname)
when="after step [0-9]+ of transfer"

# mpirun's own status of a killed rank is 128 + 9.
start mpirun killed
kill -KILL "$(pid_of 2)"
ends "75 137" "rank 2 on $host was lost $when: its process ended"

start run killed_first
shared=$(grep -o -m 1 '/dev/shm/caracal-[A-Za-z0-9]*' "/proc/$(pid_of 0)/maps")
kill -KILL "$(pid_of 0)"
ends 75 "rank 0 on $host was lost $when: its process ended"
[ ! -e "$shared" ] || fail "what the ranks shared is left: $shared"
grep -q -- "--resume" "$work/err.txt" || fail "how to go on"

start mpirun stopped
kill -STOP "$(pid_of 1)"
ends 75 "rank 1 on $host was lost $when: no sign of life"

# One that stands before the ranks have met.
mpirun --oversubscribe --bind-to none --mca btl self,vader --mca pml ob1 \
  --mca oob_tcp_if_include lo --quiet \
  -n 2 "$worker" --job "$work/job.textproto" --out "$work/unmet" \
  --start-timeout 2 : -n 1 sh -c 'kill -STOP $$; exec "$@"' sh "$worker" \
  --job "$work/job.textproto" --out "$work/unmet" 2>"$work/err.txt" &
gang=$!
status=0
wait "$gang" || status=$?
gang=
[ "$status" -eq 75 ] || fail "unmet: $status: $(cat "$work/err.txt")"
grep -q "did not meet within 2s" "$work/err.txt" ||
  fail "unmet: $(cat "$work/err.txt")"

# Asked to stop, the ranks save first.
start run asked
kill -TERM "$gang"
status=0
wait "$gang" || status=$?
gang=
[ "$status" -eq 130 ] || fail "stopped with $status: $(cat "$work/err.txt")"
saved asked

# mpirun hands this signal on.
start mpirun asked_mpirun
kill -USR1 "$gang"
ends 85 "everything is saved: go on with the same command and --resume"
saved asked_mpirun

# One rank's error is told by that rank; here it may pass.
start mpirun raised --set checkpoint.every_steps=50
prlimit --pid "$(pid_of 1)" --nofile=4
ends 75 "rank 1 on $host $when: .*Too many open files"

# An error that all ranks know is told once; this one would come again: files
# where checkpoints are to be folders.
start run refused --set checkpoint.every_steps=50
mkdir -p "$work/refused/checkpoints"
for ((step = 50; step <= 5000; step += 50)); do
  touch "$work/refused/checkpoints/checkpoint-$(printf %08d "$step")"
done
ends 1 "rank 0 on $host $when: .*checkpoint-"

# A process that lives, and beats, but whose training stands: whoever waits for
# it gives up.
start mpirun stuck --stall-timeout 3
pid=$(pid_of 1)
exec {said}< <(exec python3 "$(dirname "$0")/stop_thread.py" "$pid" \
  2>"$work/stopper.txt")
stopper=$!
read -r -t 30 -u "$said" line && [ "$line" = stopped ] ||
  fail "stop_thread.py: $(cat "$work/stopper.txt")"
where="in [A-Za-z]+ on rank [02] of the .*group of (all ranks|ranks 0 1 2) .(from|to) rank 1,"
ends 75 "rank [02] on $host: stage transfer, step [0-9]+: nothing came for \
3[.0-9]*s $where"
# It stood until it was killed.
wait "$stopper" || fail "stop_thread.py: $(cat "$work/stopper.txt")"
stopper=
