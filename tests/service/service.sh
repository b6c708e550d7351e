# What the tests of the service share. Sourced with the client as $1 and the
# coordinator as $2; sets all that common.sh does, and `data`.
source "$(dirname "${BASH_SOURCE[0]}")/../end_to_end/common.sh"
caracald=$PWD/$2
data=$work/data
daemon=
export CARACAL_SERVER=$data/endpoint.json
trap 'end_all' EXIT

end_all() {
  [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
  local pid
  for pid in $(processes_of_gangs); do kill -KILL "$pid" 2>/dev/null || true; done
}
# All that gangs of this test run, but their supervisors.
processes_of_gangs() {
  local file
  for file in /proc/[0-9]*/environ; do
    if grep -q -s -z -F "CARACAL_GANG=$data/" "$file"; then
      basename "$(dirname "$file")"
    fi
  done 2>/dev/null
}

# start_daemon OPTIONS...: until it listens.
start_daemon() {
  "$caracald" --data "$data" --listen 127.0.0.1:0 --back-off 0.2 "$@" \
    >>"$work/daemon.txt" 2>&1 &
  daemon=$!
  eventually "caracald listens" listens
}
listens() {
  kill -0 "$daemon" || fail "caracald: $(cat "$work/daemon.txt")"
  "$caracal" ls >/dev/null 2>&1
}
kill_daemon() {
  kill -KILL "$daemon"
  wait "$daemon" 2>/dev/null || true
  daemon=
}

# eventually WHAT COMMAND...: until the command succeeds; a minute at most.
eventually() {
  local what=$1 i
  shift
  for ((i = 0; i < 1200; i++)); do
    "$@" && return 0
    sleep 0.05
  done
  "$caracal" ls >&2 || true
  fail "not within a minute: $what"
}
state_of() {
  "$caracal" status "$1" --json | sed -E 's/.*"state":"([a-z]*)".*/\1/'
}
is() { [ "$(state_of "$1")" = "$2" ]; }
# wait_for ID STATE
wait_for() {
  eventually "job $1 is $2, not $(state_of "$1")" is "$1" "$2"
}
has_steps() { [ "$(wc -l <"$data/runs/$1/metrics.jsonl" || echo 0)" -ge "$2" ]; } 2>/dev/null
