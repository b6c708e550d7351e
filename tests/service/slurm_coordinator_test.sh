#!/usr/bin/env bash
# The coordinator as a job of a real Slurm, by deploy/slurm/coordinator.sbatch:
# it starts a gang, ends before its time limit, and comes back to that gang.
source "$(dirname "$0")/service.sh"
source "$(dirname "$0")/../slurm/real_slurm.sh"
trap 'end_all; slurm_stop' EXIT
slurm_start || fail "no Slurm"
prepare
export CARACALD=$caracald
coordinator() {
  sbatch --parsable --output="$work/coordinator.log" \
    "$PWD/deploy/slurm/coordinator.sbatch" "$@"
}
coordinator "$data" --nonsense >/dev/null
eventually "a wrong flag is told" grep -q -s nonsense "$work/coordinator.log"

public=$work/endpoint.json
id=$(coordinator "$data" --listen 127.0.0.1:0 --slurm-poll 0.3 \
  --endpoint "$public")
answers() { "$caracal" ls >/dev/null 2>&1; }
eventually "it listens" answers
address=$(cat "$data/endpoint.json")
job=("$work/job.textproto" --set threads=1 --set parallel.data=2)
[ "$("$caracal" submit "${job[@]}")" = 1 ] || fail "submit"
"$caracal" watch 1 --json >"$work/watch.txt" &
watcher=$!
wait_for 1 succeeded
[ -s "$data/runs/1/report.html" ] || fail "no report"
wait "$watcher" || fail "watch"

# As before its time limit.
long=("$work/job.textproto" --set threads=1 --set budget.transfer_steps=500
  --set checkpoint.every_steps=100 --set validation.every_steps=100)
[ "$("$caracal" submit "${long[@]}")" = 2 ] || fail "submit"
eventually "job 2 trains" has_steps 2 10
"$caracal" watch 2 --json >"$work/watched.txt" &
watcher=$!
eventually "watch sees something" test -s "$work/watched.txt"
scancel --signal=TERM --batch "$id"
eventually "it is back in the queue" grep -q "back into the queue" \
  "$work/coordinator.log"
came_back() {
  scontrol show job "$id" | grep -q Restarts=1 && answers &&
    [ "$(cat "$data/endpoint.json")" != "$address" ]
}
eventually "it comes back elsewhere" came_back
# For those who can't look into the folder of its data, too.
for_all() { cmp -s "$data/endpoint.json" "$public"; }
eventually "the file for other users tells it" for_all
[ "$(stat -c %a "$public")" = 644 ] || fail "mode of $public"
"$caracal" ls --server "$public" >/dev/null || fail "ls"
wait_for 2 succeeded
wait "$watcher" || fail "watch"
tail -n 1 "$work/watched.txt" | grep -q SUCCEEDED || fail "watch"
"$caracal" status 2 --json | grep -q '"gangs":1' ||
  fail "$("$caracal" status 2 --json)"
[ "$(wc -l <"$data/runs/2/metrics.jsonl")" -eq 506 ] || fail "steps"

# Cancelled, it ends for good.
scancel "$id"
cancelled() { scontrol show job "$id" | grep -q JobState=CANCELLED; }
eventually "it is cancelled" cancelled
free() { flock --nonblock "$data/caracald.lock" true; }
eventually "the folder is free" free
