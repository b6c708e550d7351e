#!/usr/bin/env bash
# Jobs are submitted, watched, cancelled, resumed and removed.
source "$(dirname "$0")/service.sh"
prepare
must_fail "no coordinator answers" "$caracal" ls --server 127.0.0.1:1
must_fail "'127.0.0.1' has no port" "$caracal" ls --server 127.0.0.1
must_fail "'' is empty" "$caracal" ls --server ''
must_fail "is the address of a page" "$caracal" ls --server http://127.0.0.1:1/
start_daemon
must_fail "another caracald uses this folder" "$caracald" --data "$data" \
  --listen 127.0.0.1:0

# The same as without a coordinator, with one rank and with two.
"$caracal" run "$work/job.textproto" --out "$work/alone" >/dev/null 2>&1 ||
  fail "caracal run"
[ "$("$caracal" submit "$work/job.textproto")" = 1 ] || fail "submit"
id=$("$caracal" submit "$work/job.textproto" --after 1 --set parallel.data=2 \
  --set threads=1 --json)
[ "$id" = '{"id":2}' ] || fail "submit: $id"
"$caracal" logs 2 -f >"$work/logs.txt" || fail "logs"
grep -q "finetune step 6/6" "$work/logs.txt" || fail "$(cat "$work/logs.txt")"
wait_for 1 succeeded
wait_for 2 succeeded
[ "$(losses "$data/runs/1")" = "$(losses "$work/alone")" ] || fail "losses"
for id in 1 2; do
  [ -s "$data/runs/$id/report.html" ] || fail "no report of job $id"
done
"$caracal" ls | grep -q -E "^ 2 +job +succeeded +report 12/12" ||
  fail "$("$caracal" ls)"
"$caracal" status 2 --job | grep -q "data: 2" || fail "status --job"
[ "$("$caracal" logs 1)" = "$(cat "$data/gangs/1-1/output.log")" ] ||
  fail "logs"

# What was measured of its layers, and where its ranks were.
host=$(uname -n)
"$caracal" watch 2 >"$work/watch.txt" || fail "watch"
grep -q "^ranks 0-1 on $host" "$work/watch.txt" || fail "$(cat "$work/watch.txt")"
"$caracal" status 2 | grep -q "ranks *0-1 on $host" ||
  fail "$("$caracal" status 2)"
for run in "$data/runs/1" "$data/runs/2"; do
  # Of both layers, at each of the four validations.
  [ "$(grep -c -E '"la_mass":\[[0-9.e-]+,[0-9.e-]+\]' \
    "$run/metrics.jsonl")" = 4 ] || fail "la_mass in $run"
done

# What is wrong with a job is told at once, all of it, as is what is unknown.
must_fail "optimizer.beta1: is 2" "$caracal" submit "$work/job.textproto" \
  --set optimizer.beta1=2
must_fail "model.path" "$caracal" submit "$work/job.textproto" \
  --set model.path=/nowhere --set data.path=/nothing
for problem in "--set model.path=/nowhere: model.path: /nowhere does not exist" \
  "--set data.path=/nothing: data.path: /nothing"; do
  grep -q -F -e "  $problem" "$work/err.txt" || fail "$(cat "$work/err.txt")"
done
must_fail "has more than" "$caracal" submit /dev/zero
# Whoever sees it, the client or the coordinator.
must_fail "5 problems" "$caracal" submit "$work/job.textproto" \
  --set optimizer.beta1=2 --set lora.rnak=1 --set model.path=/nowhere \
  --priority 99999999 --after 77
for problem in "--set optimizer.beta1=2: optimizer.beta1: is 2" \
  "--set lora.rnak=1: lora.rnak: there is no such field" \
  "--set model.path=/nowhere: model.path: /nowhere does not exist" \
  "priority: is 99999999, must be" "after: there is no job 77"; do
  grep -q -F -e "  $problem" "$work/err.txt" || fail "$(cat "$work/err.txt")"
done
# Of one block: what it holds, and that it is not for this coordinator.
must_fail "2 problems" "$caracal" submit "$work/job.textproto" \
  --set slurm.memory=10Q
grep -q "slurm.memory: is '\?10Q" "$work/err.txt" &&
  grep -q "slurm: this coordinator starts gangs on its own" "$work/err.txt" ||
  fail "$(cat "$work/err.txt")"
printf 'seed 1\nlora { rnak: 3 }\npreset {\n' >"$work/broken.textproto"
must_fail "priority: is 99999999" "$caracal" submit "$work/broken.textproto" \
  --priority 99999999
for place in 1:6 2:8 3:8; do
  grep -q "broken.textproto:$place: " "$work/err.txt" \
    || fail "$(cat "$work/err.txt")"
done
for command in status watch logs cancel resume rm; do
  must_fail "ID: is '-1', expected a number from 1" "$caracal" "$command" -1
done
must_fail "there is no job 9" "$caracal" status 9
must_fail "there is no job 9" "$caracal" logs 9
must_fail "job 1: there is no output of a gang 7" "$caracal" logs 1 --gang 7
must_fail "there is no job 98; " "$caracal" cancel 98 99
must_fail "not in range" "$caracal" attribute "$data/runs/1" --rows -3
must_fail "expected one of queued" "$caracal" ls --state odd
must_fail "job 1 is succeeded" "$caracal" resume 1

# Cancelled while it trains, it saves; resumed, it ends with the losses of a
# run that was never stopped.
long=("$work/job.textproto" --set budget.transfer_steps=400
  --set checkpoint.every_steps=100 --set validation.every_steps=100)
"$caracal" run "${long[@]}" --out "$work/long" >/dev/null 2>&1 ||
  fail "caracal run"
[ "$("$caracal" submit "${long[@]}")" = 3 ] || fail "submit"
[ "$("$caracal" submit "$work/job.textproto" --priority -1)" = 4 ] ||
  fail "submit"
eventually "job 3 trains" has_steps 3 20
"$caracal" cancel 3 4 || fail "cancel"
wait_for 3 cancelled
wait_for 4 cancelled
has_steps 3 400 && fail "it was not stopped"
"$caracal" status 3 | grep -q "go on by *caracal resume 3" ||
  fail "$("$caracal" status 3)"
[ "$("$caracal" rm 4)" = "job 4 is removed" ] || fail "rm"
must_fail "there is no job 4" "$caracal" status 4
is_gone() { ! ls -d "$data"/gangs/"$1"-* "$data/jobs/$1.textproto" >/dev/null 2>&1; }
"$caracal" resume 3 || fail "resume"
wait_for 3 succeeded
"$caracal" status 3 | grep -q "checkpoints.*the newest of step 4" ||
  fail "$("$caracal" status 3)"
"$caracal" status 3 --json | grep -q '"checkpoints":\[{"step":4' ||
  fail "$("$caracal" status 3 --json)"
[ "$(losses "$data/runs/3")" = "$(losses "$work/long")" ] || fail "losses"
removed=$("$caracal" rm 3)
[[ $removed =~ ^"job 3 is removed, with the folders of 2 gangs ("[0-9.]+" "[KM]iB"); its run folder stays: $data/runs/3"$ ]] ||
  fail "rm: $removed"
[ "$("$caracal" rm 3)" = "job 3 was removed before" ] || fail "rm again"
eventually "the gangs of job 3 are removed" is_gone 3
[ -s "$data/runs/3/report.html" ] || fail "the run of job 3 is gone"

# A job that can't work fails, and says why; one that comes after it as well.
cp "$work/train.h5" "$work/bad.h5"
"$caracal" submit "${long[@]}" --set budget.transfer_steps=20000 >/dev/null
"$caracal" submit "$work/job.textproto" --set "data.path=$work/bad.h5" \
  >/dev/null
"$caracal" submit "$work/job.textproto" --after 6 >/dev/null
head -c 100 "$work/train.h5" >"$work/bad.h5"
"$caracal" cancel 5
wait_for 6 failed
"$caracal" status 6 | grep -q "bad.h5" || fail "$("$caracal" status 6)"
! "$caracal" status 6 | grep -q -e --resume || fail "$("$caracal" status 6)"
wait_for 7 failed

# It ends when it is asked to, and leaves its jobs as they are.
kill -TERM "$daemon"
wait "$daemon" || fail "exit status $?"
daemon=

# What is old goes, and whoever asks for it is told; jobs stay.
start_daemon --keep-events 0.000001 --keep-gangs 0.000001
no_gangs() { [ -z "$(ls "$data/gangs")" ]; }
eventually "the gangs of ended jobs are removed" no_gangs
no_metrics() {
  "$caracal" watch 1 --json >"$work/events.txt" || fail "watch"
  ! grep -q '"kind":"metrics"' "$work/events.txt"
}
eventually "the events of job 1 are removed" no_metrics
grep -q '"kind":"removed"' "$work/events.txt" || fail "$(cat "$work/events.txt")"
is 1 succeeded || fail "job 1 is $(state_of 1)"
[ -s "$data/runs/1/report.html" ] || fail "the run of job 1 is gone"

# Runs and gangs on another disk than the database.
kill_daemon
data=$work/local
export CARACAL_SERVER=$data/endpoint.json
start_daemon --shared "$work/shared"
[ "$("$caracal" submit "$work/job.textproto")" = 1 ] || fail "submit"
wait_for 1 succeeded
[ -s "$work/shared/runs/1/report.html" ] || fail "no report in the other folder"
[ "$("$caracal" logs 1)" = "$(cat "$work/shared/gangs/1-1/output.log")" ] ||
  fail "logs"
[ ! -e "$data/runs" ] || fail "runs beside the database"

# A database of its own has each folder of runs: jobs of another one would be
# taken for these. One that is older than the runs gives none of their numbers.
kill -TERM "$daemon"
wait "$daemon" || fail "exit status $?"
daemon=
mkdir "$work/backup"
mv "$data"/coordinator.sqlite* "$work/backup"
must_fail "those of another database" "$caracald" --data "$data" \
  --listen 127.0.0.1:0
rm "$data"/coordinator.sqlite*
cp "$work/backup"/coordinator.sqlite* "$data"
# Nor does it begin again where the other disk is not mounted.
mv "$work/shared" "$work/unmounted"
for empty in "" "$work/shared"; do
  [ -z "$empty" ] || mkdir -p "$empty"
  must_fail "are not there: is its file system mounted?" "$caracald" \
    --data "$data" --listen 127.0.0.1:0
done
rm -r "$work/shared"
mv "$work/unmounted" "$work/shared"
mkdir "$work/shared/runs/41" "$work/shared/gangs/43-2"
start_daemon --max-queued-per-user 1
[ "$("$caracal" submit "${long[@]}" --priority -1)" = 44 ] || fail "submit"
# No user's queue is without an end.
[ "$("$caracal" submit "$work/job.textproto")" = 45 ] || fail "submit"
must_fail "local has 1 jobs that wait, and at most 1" "$caracal" submit \
  "$work/job.textproto"
"$caracal" cancel 45 44 || fail "cancel"

# Several at once, told in the order of the files, whichever came first; what is
# wrong with one keeps no other out.
kill_daemon
start_daemon
cp "$work/job.textproto" "$work/same.textproto"
must_fail "1 of 3 jobs were not taken in" "$caracal" submit \
  "$work/job.textproto" "$work/broken.textproto" "$work/same.textproto"
[ "$(sort "$work/out.txt")" = $'46\n47' ] || fail "$(cat "$work/out.txt")"
grep -q "^$work/broken.textproto: " "$work/err.txt" || fail "$(cat "$work/err.txt")"
"$caracal" submit "$work/job.textproto" "$work/same.textproto" \
  --set priority_is=none --json >"$work/out.txt" 2>/dev/null && fail "submit"
grep -q -F "{\"jobs\":[{\"file\":\"$work/job.textproto\"},{\"file\"" \
  "$work/out.txt" || fail "$(cat "$work/out.txt")"
"$caracal" submit "$work/job.textproto" "$work/same.textproto" --json \
  >"$work/out.txt" || fail "submit"
for file in job same; do
  id=$(sed -E "s|.*/$file.textproto\",\"id\":([0-9]+).*|\1|" "$work/out.txt")
  [ "$id" = 48 ] || [ "$id" = 49 ] || fail "$(cat "$work/out.txt")"
done
must_fail "--key is for one job" "$caracal" submit "$work/job.textproto" \
  "$work/same.textproto" --key k
# A key is known: it is told that the priority of its job is another one.
for priority in 5 5 7; do
  [ "$("$caracal" submit "$work/job.textproto" --key k --priority $priority \
    2>"$work/err$priority.txt")" = 50 ] || fail "$(cat "$work/err$priority.txt")"
done
[ ! -s "$work/err5.txt" ] || fail "$(cat "$work/err5.txt")"
grep -q "job 50, known by this key, has priority 5, not 7" "$work/err7.txt" ||
  fail "$(cat "$work/err7.txt")"
"$caracal" cancel 50 49 48 47 46 || fail "cancel"

# Whoever reads no further hears nothing of it; of a full disk all hear.
mkfifo "$work/pipe"
exec 3<>"$work/pipe" 4>"$work/pipe" 3<&-
for command in "ls --all" "status 1" "logs 1"; do
  "$caracal" $command >&4 2>"$work/err.txt" && fail "$command"
  [ ! -s "$work/err.txt" ] || fail "$command: $(cat "$work/err.txt")"
  "$caracal" $command >/dev/full 2>"$work/err.txt" && fail "$command"
  grep -q "write standard output: No space left" "$work/err.txt" ||
    fail "$command: $(cat "$work/err.txt")"
done
exec 4>&-
