#!/usr/bin/env bash
# A coordinator that is killed loses nothing: gangs go on, and the next one
# finds them.
source "$(dirname "$0")/service.sh"
prepare
job=("$work/job.textproto" --set budget.transfer_steps=500
  --set checkpoint.every_steps=100 --set validation.every_steps=100)
"$caracal" run "${job[@]}" --out "$work/alone" >/dev/null 2>&1 ||
  fail "caracal run"
start_daemon
[ "$("$caracal" submit "${job[@]}")" = 1 ] || fail "submit"
[ "$("$caracal" submit "${job[@]}" --key k)" = 2 ] || fail "submit"
eventually "job 1 trains" has_steps 1 10

# It goes on training, and the next coordinator knows of it.
kill_daemon
steps=$(wc -l <"$data/runs/1/metrics.jsonl")
eventually "job 1 goes on" has_steps 1 $((steps + 20))
start_daemon
is 1 running || fail "job 1 is $(state_of 1)"
[ "$("$caracal" submit "${job[@]}" --key k)" = 2 ] || fail "submitted twice"
wait_for 1 succeeded

# It ends while nobody watches.
eventually "job 2 trains" has_steps 2 10
kill_daemon
is_done() { [ -e "$data/gangs/2-1/end.json" ]; }
eventually "job 2 is done" is_done
start_daemon
wait_for 2 succeeded
for id in 1 2; do
  [ "$(losses "$data/runs/$id")" = "$(losses "$work/alone")" ] ||
    fail "losses of job $id"
  [ "$(ls -d "$data/gangs/$id"-* | wc -l)" = 1 ] || fail "gangs of job $id"
done

# A rank is killed: another gang goes on.
[ "$("$caracal" submit "${job[@]}")" = 3 ] || fail "submit"
eventually "job 3 trains" has_steps 3 10
for pid in $(processes_of_gangs); do
  [ "$(cat "/proc/$pid/comm")" != caracal-worker ] || kill -KILL "$pid"
done
wait_for 3 succeeded
[ "$(losses "$data/runs/3")" = "$(losses "$work/alone")" ] || fail "losses"
"$caracal" status 3 --json | grep -q '"gangs":2' || fail "gangs of job 3"

# Killed with all its gangs.
[ "$("$caracal" submit "${job[@]}")" = 4 ] || fail "submit"
eventually "job 4 trains" has_steps 4 10
kill_daemon
for pid in $(processes_of_gangs); do kill -KILL "$pid" 2>/dev/null || true; done
pkill -KILL -f "caracal-gang $data/" || true
start_daemon
wait_for 4 succeeded
[ "$(losses "$data/runs/4")" = "$(losses "$work/alone")" ] || fail "losses"

# Every line of metrics has come, once: also what a gang wrote while there was no
# coordinator, and then was no more.
steps_of() {
  "$caracal" watch "$1" --json | grep '"kind":"metrics"' |
    sed -E 's/.*"global_step":([0-9]+).*/\1/'
}
for id in 1 2; do
  [ "$(steps_of "$id")" = "$(seq 506)" ] || fail "metrics of job $id"
done
# Of two gangs: the second took up where the first one had saved, or before.
for id in 3 4; do
  steps_of "$id" | awk '$1 == last || $1 > last + 1 { exit 1 } { last = $1 }
    END { exit last != 506 }' || fail "metrics of job $id: $(steps_of "$id")"
done

# Whoever watches a job that waits, and so is quiet, or follows what a job prints,
# hears that the coordinator is back, each time, and goes on to the end.
[ "$("$caracal" submit "${job[@]}" --set budget.transfer_steps=100000)" = 5 ] ||
  fail "submit"
[ "$("$caracal" submit "${job[@]}" --after 5)" = 6 ] || fail "submit"
"$caracal" watch 6 >"$work/watch.txt" 2>"$work/watch_err.txt" &
watch=$!
"$caracal" logs 5 -f >"$work/logs.txt" 2>"$work/logs_err.txt" &
logs=$!
eventually "job 6 is watched" grep -q -i queued "$work/watch.txt"
eventually "what job 5 prints is followed" [ -s "$work/logs.txt" ]
has_come_back() {
  [ "$(grep -c "is back" "$work/watch_err.txt")" = "$1" ] &&
    [ "$(grep -c "is back" "$work/logs_err.txt")" = "$1" ]
}
for times in 1 2; do
  kill_daemon
  start_daemon --heartbeat-timeout 4
  eventually "they hear that it is back, $times" has_come_back "$times"
done
# Stopped for longer than a gang may be silent, it takes none for lost.
is 5 running || fail "job 5 is $(state_of 5)"
kill -STOP "$daemon"
sleep 5
kill -CONT "$daemon"
steps=$(wc -l <"$data/runs/5/metrics.jsonl")
eventually "job 5 goes on" has_steps 5 $((steps + 20))
"$caracal" status 5 --json | grep -q '"gangs":1' || fail "$("$caracal" status 5)"
is 5 running || fail "job 5: $("$caracal" status 5)"
"$caracal" cancel 6
wait "$watch" || fail "watch: $(cat "$work/watch_err.txt")"
grep -q cancelled "$work/watch.txt" || fail "watch: $(cat "$work/watch.txt")"
"$caracal" cancel 5
wait "$logs" || fail "logs: $(cat "$work/logs_err.txt")"
"$caracal" logs 5 | cmp - "$work/logs.txt" || fail "what logs -f printed"
