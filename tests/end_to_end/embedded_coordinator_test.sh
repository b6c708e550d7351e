#!/usr/bin/env bash
# `caracal run` is watched, tuned and stopped as a job of a coordinator is: by
# the folder of its run, without an open port, and without other losses.
source "$(dirname "$0")/common.sh"
pid=
# Of sockets below it the paths must be short.
TMPDIR=$(mktemp -d /tmp/embedded.XXXXXX)
trap 'rm -rf "$TMPDIR"; [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true' EXIT
export TMPDIR OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
unset CARACAL_SERVER
prepare
cat >"$work/ssd.textproto" <<JOB
preset: "ssd"
model { path: "$model" }
data { path: "train.h5" validation: "heldout.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 2 finetune_steps: 800 batch: 2 }
curriculum {
  drop { linear { from: 0.9 to: 0.2 } }
  window { linear { from: 12 to: 6 } }
}
validation { rows: 4 every_steps: 1000 }
checkpoint { every_steps: 50 }
evaluation { rows: 0 }
threads: 1
seed: 11
JOB

eventually() {
  local what=$1 i
  shift
  for ((i = 0; i < 1200; i++)); do
    "$@" && return 0
    sleep 0.05
  done
  fail "not within a minute: $what: $(cat "$work/err.txt")"
}
# start RUN OPTIONS...: in the background.
start() {
  local run=$1
  shift
  "$caracal" run "$work/ssd.textproto" --out "$work/$run" "$@" \
    >"$work/out.txt" 2>"$work/err.txt" &
  pid=$!
}
# at COMMAND RUN ARGUMENTS...: asks the run.
at() {
  local command=$1 run=$2
  shift 2
  "$caracal" "$command" "$@" --server "$work/$run"
}
has_steps() { [ "$(wc -l <"$work/$1/metrics.jsonl")" -ge "$2" ]; } 2>/dev/null
shows() { at status "$1" "$2" 2>/dev/null | grep -q -E "$3"; }
# ends STATUS: of the run that was started.
ends() {
  local status=0
  wait "$pid" || status=$?
  pid=
  [ "$status" -eq "$1" ] || fail "exit status $status: $(cat "$work/err.txt")"
}

# One that nobody looks at, and that leaves nothing behind that answers.
start whole
ends 0
[ "$(cat "$work/out.txt")" = "done: $work/whole" ] || fail "$(cat "$work/out.txt")"
[ "$(stat -c %a "$work/whole/coordinator")" = 700 ] || fail "who can enter"
must_fail "$work/whole: no coordinator is there now" \
  at status whole 1
must_fail "$work/none" "$caracal" ls --server "$work/none/"

# Watched while it trains; killed, gone on, with the losses of the other. No
# port is open.
start killed
eventually "the coordinator answers" shows killed 1 "job 1 ssd: running"
ports=$(ls -l "/proc/$pid/fd" | sed -n 's/.*socket:\[\([0-9]*\)\]/\1/p')
for port in $ports; do
  ! awk -v inode="$port" '$10 == inode && $4 == "0A"' /proc/net/tcp \
    /proc/net/tcp6 | grep -q . || fail "it listens on a port"
done
at status killed 1 --json | grep -F "\"$work/killed\"" | grep -q '"slots":1,' ||
  fail "$(at status killed 1 --json)"
at watch killed 1 >"$work/watch.txt" 2>"$work/watch_err.txt" &
watch=$!
eventually "it is watched" grep -q running "$work/watch.txt"
eventually "60 steps" has_steps killed 60
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
must_fail "$work/killed: no coordinator is there now" at status killed 1
start killed --resume
# Whoever watched goes on as well, to the end.
wait "$watch" || fail "watch: $(cat "$work/watch_err.txt")"
grep -q "the coordinator is back" "$work/watch_err.txt" ||
  fail "watch: $(cat "$work/watch_err.txt")"
grep -q succeeded "$work/watch.txt" || fail "watch: $(cat "$work/watch.txt")"
ends 0
grep -q "going on after step" "$work/err.txt" || fail "$(cat "$work/err.txt")"
diff <(losses "$work/whole") <(losses "$work/killed") || fail "losses"
# Its page, if it is asked for; its job is another one now, that does nothing.
start killed --resume --page
ends 0
grep -q -x "page at http://127.0.0.1:[0-9]*/" "$work/err.txt" ||
  fail "$(cat "$work/err.txt")"
grep -q -x "sign in there with [a-z0-9A-Z_-]*" "$work/err.txt" ||
  fail "$(cat "$work/err.txt")"

# Tuned, and interrupted: it saves, and says how to go on.
start tuned --set budget.finetune_steps=100000
eventually "it fine-tunes" has_steps tuned 20
at tune tuned 1 --drop 0.625 --window 7 || fail "tune"
is_tuned() {
  tail -n 1 "$work/tuned/metrics.jsonl" |
    grep -q '"drop_probability":0.625,.*"window":7.0'
}
eventually "it is tuned" is_tuned
at logs tuned 1 | grep -q "finetune step" || fail "$(at logs tuned 1)"
must_fail "there is no job 2" at tune tuned 2 --drop 0.5
must_fail "same command and --resume" at resume tuned 1
must_fail "runs the job of its \`caracal run\` alone" \
  "$caracal" submit "$work/ssd.textproto" --server "$work/tuned"
eventually "its checkpoints are told" \
  shows tuned 1 "checkpoints.*the newest of step"
kill -INT "$pid"
ends 130
grep -q -- "--resume" "$work/err.txt" || fail "$(cat "$work/err.txt")"
# Cancelled from elsewhere it is the same. What it was tuned to stays.
start tuned --set budget.finetune_steps=100000 --resume
eventually "it goes on" shows tuned 1 "job 1 ssd: running"
at status tuned 1 | grep -q "tuned  *p = 0.625, W = 7" || fail "it forgets"
at cancel tuned 1 || fail "cancel"
ends 130
is_tuned || fail "$(tail -n 1 "$work/tuned/metrics.jsonl")"

# Ranks of their own: watched and tuned alike, and gone with the process.
start ranks --set parallel.data=2
ends 0
for run in whole ranks; do
  grep -o -E '"(global_step|drop_probability|window)":[^,}]*' \
    "$work/$run/metrics.jsonl" >"$work/$run.txt"
done
grep -q window "$work/ranks.txt" || fail "ranks without a curriculum"
diff "$work/whole.txt" "$work/ranks.txt" || fail "the curriculum of ranks"
start ranks_tuned --set parallel.data=2 --set budget.finetune_steps=100000
eventually "ranks run" shows ranks_tuned 1 "job 1 ssd: running"
eventually "they train" has_steps ranks_tuned 20
at tune ranks_tuned 1 --drop 0.25 || fail "tune"
is_lower() {
  tail -n 1 "$work/ranks_tuned/metrics.jsonl" |
    grep -q '"drop_probability":0.25,'
}
eventually "they are tuned" is_lower
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
pid=
gone() { ! pgrep -f "caracal-worker.*$work/ranks_tuned" >/dev/null; }
eventually "no rank is left" gone
start ranks_tuned --set parallel.data=2 --set budget.finetune_steps=100000 \
  --resume
eventually "they go on" shows ranks_tuned 1 "job 1 ssd: running"
kill -INT "$pid"
ends 130
eventually "no rank is left" gone

# What killed ones had left is gone.
! ls "$TMPDIR" | grep -q caracal-run- || fail "sockets: $(ls "$TMPDIR")"

# A coordinator that can't be had is none that is needed.
mkdir -p "$work/alone"
echo no folder >"$work/alone/coordinator"
start alone
ends 0
grep -q "warning: this run can't be watched or tuned: .*coordinator" \
  "$work/err.txt" || fail "$(cat "$work/err.txt")"
diff <(losses "$work/whole") <(losses "$work/alone") || fail "losses"
