#!/usr/bin/env bash
# A coordinator whose disk is full takes nothing in, says why, and can be ended;
# what it had answered is there when there is room again.
source "$(dirname "$0")/service.sh"
prepare
# As on a full disk, writes fail with an error instead of ending the process.
trap '' XFSZ
start_daemon
[ "$("$caracal" submit "$work/job.textproto" --set budget.transfer_steps=2)" \
  = 1 ] || fail "submit"
wait_for 1 succeeded

# Its log of the database, which is longer by now, may not grow; what it prints
# may.
[ "$(stat -c %s "$data/coordinator.sqlite-wal")" -gt 40000 ] || fail "the log"
prlimit --pid "$daemon" --fsize=40000:unlimited
# The first one waits: whether it will be stored nobody knows yet.
"$caracal" submit "$work/job.textproto" >"$work/waits.txt" 2>&1 &
client=$!
is_refused() {
  ! timeout 5 "$caracal" submit "$work/job.textproto" \
    >/dev/null 2>"$work/refused.txt" &&
    grep -q "coordinator.sqlite" "$work/refused.txt"
}
eventually "a submission is refused" is_refused
"$caracal" status 1 | grep -q succeeded || fail "status"

kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
[ "$status" = 1 ] || fail "exit status $status"
grep -q "ends without an answer to those who wait: .*coordinator.sqlite" \
  "$work/daemon.txt" || fail "$(cat "$work/daemon.txt")"
wait "$client" && fail "the first one was told $(cat "$work/waits.txt")"
daemon=

start_daemon
[ "$(state_of 1)" = succeeded ] || fail "job 1 is $(state_of 1)"
must_fail "there is no job 2" "$caracal" status 2
[ "$("$caracal" submit "$work/job.textproto" --set budget.transfer_steps=2)" \
  = 2 ] || fail "submit"
wait_for 2 succeeded
