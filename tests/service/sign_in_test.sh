#!/usr/bin/env bash
# The coordinator's page in a browser, where callers have to say who they are.
source "$(dirname "$0")/service.sh"
prepare
admin=$("$caracald" --data "$data" token create root --role admin)
export CARACAL_TOKEN=$admin
start_daemon
viewer=$("$caracal" token create vera --role viewer 2>/dev/null)
submitter=$("$caracal" token create sam --role submitter 2>/dev/null)
# One that runs until somebody ends it.
"$caracal" submit "$work/job.textproto" --set budget.transfer_steps=1000000 \
  >/dev/null
export HOME=$work
printf '%s\n' "$viewer" "$submitter" "$admin" |
  /usr/bin/python3 "$(dirname "$0")/sign_in_test.py" \
    "$("$caracal" dashboard)" "$work" "$caracal" || fail "the page"
is 1 cancelled || fail "job 1 is $(state_of 1)"
for line in '"caller":"vera".*"Page.SignIn","outcome":"OK"' \
  '"Page.SignIn","outcome":"UNAUTHENTICATED"' \
  '"caller":"sam".*"Page.SignOut","outcome":"OK"' \
  '"caller":"vera".*"POST /api/jobs/1/cancel","outcome":"PERMISSION_DENIED"'; do
  grep -q -E "$line" "$data/audit.jsonl" ||
    fail "no $line in $(cat "$data/audit.jsonl")"
done
for secret in "$admin" "$submitter" "$viewer"; do
  ! grep -r -q -F "$secret" "$data" "$work/daemon.txt" || fail "a secret"
done
