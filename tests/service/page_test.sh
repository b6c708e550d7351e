#!/usr/bin/env bash
# The coordinator's page in a browser, on jobs that really run.
source "$(dirname "$0")/service.sh"
prepare
start_daemon
page=$("$caracal" dashboard)
case "$page" in
  http://127.0.0.1:*/) ;;
  *) fail "dashboard: $page" ;;
esac
# A job that is there before the browser is: it has succeeded, with a report,
# and a curriculum in a closed loop.
[ "$("$caracal" submit "$work/job.textproto" --set preset=ssd \
  --set curriculum.closed_loop.every=2 \
  --set budget.finetune_steps=12)" = 1 ] || fail "submit"
wait_for 1 succeeded
export HOME=$work
# The one that has Debian's python3-selenium.
/usr/bin/python3 "$(dirname "$0")/page_test.py" "$page" "$work" || fail "the page"

kill_daemon
start_daemon --web ""
must_fail "has no page" "$caracal" dashboard
