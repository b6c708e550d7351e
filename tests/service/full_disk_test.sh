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
# The first one is told that it is not stored, before its patience ends.
must_fail "this can't be stored now" \
  timeout 20 "$caracal" submit "$work/job.textproto"
grep -q "coordinator.sqlite" "$work/err.txt" || fail "$(cat "$work/err.txt")"
is_refused() {
  ! timeout 5 "$caracal" submit "$work/job.textproto" \
    >/dev/null 2>"$work/refused.txt" &&
    grep -q "coordinator.sqlite" "$work/refused.txt"
}
eventually "a submission is refused" is_refused
[ "$(grep -c "caracald: changes can't be stored now: .*coordinator.sqlite" \
  "$work/daemon.txt")" = 1 ] || fail "its log: $(cat "$work/daemon.txt")"
# So is all else that would be changed.
for change in "cancel 1" "resume 1" "rm 1" "priority 1 3"; do
  must_fail "changes can't be stored now" timeout 5 "$caracal" $change
  # It does answer.
  ! grep "no coordinator" "$work/err.txt" || fail "$change"
done
"$caracal" status 1 | grep -q succeeded || fail "status"
# What is stored can be watched, to its end and beyond; that is said.
timeout 20 "$caracal" watch 1 --json >"$work/watched.txt" || fail "watch"
[ "$(grep -c '"metrics"' "$work/watched.txt")" -ge 2 ] ||
  fail "$(cat "$work/watched.txt")"
page=$(sed -E 's/.*"web":"([^"]*)".*/\1/' "$data/endpoint.json")
exec 3<>"/dev/tcp/${page%:*}/${page#*:}"
printf 'GET /api/jobs/1/events HTTP/1.1\r\nHost: %s\r\n\r\n' "$page" >&3
timeout 20 grep -q \
  '"kind":"store","data":{"ok":false,"why":.*coordinator.sqlite' <&3 ||
  fail "the page's stream does not say that nothing is stored"
exec 3>&-

kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
[ "$status" = 1 ] || fail "exit status $status"
grep -q "ends with changes that are not stored: .*coordinator.sqlite" \
  "$work/daemon.txt" || fail "$(cat "$work/daemon.txt")"
daemon=

start_daemon
[ "$(state_of 1)" = succeeded ] || fail "job 1 is $(state_of 1)"
must_fail "there is no job 2" "$caracal" status 2
[ "$("$caracal" submit "$work/job.textproto" --set budget.transfer_steps=2)" \
  = 2 ] || fail "submit"
wait_for 2 succeeded
