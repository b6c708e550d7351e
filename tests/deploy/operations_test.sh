#!/usr/bin/env bash
# The commands of docs/operations.md, as they stand there but for folders and
# numbers of jobs: on a coordinator that runs, is copied, moved and cut short.
source "$(dirname "$0")/../service/service.sh"
page=docs/operations.md
mkdir "$work/bin" "$work/backup"
ln -s "$caracal" "$caracald" "$work/bin/"
export PATH=$work/bin:$PATH

# print LINE [SED...]: the page's block that has this line.
print() {
  local line=$1 script=()
  shift
  while [ $# -gt 0 ]; do
    script+=(-e "$1")
    shift
  done
  awk -v line="    $line" '
    /^    / { block = block $0 "\n"; if ($0 == line) found = 1; next }
    found { exit }
    { block = "" }
    END { if (found) printf "%s", block }' "$page" |
    sed -e 's/^    //' -e "s|/var/lib/caracald|$data|g" \
      -e "s|/backup|$work/backup|g" -e "s|/new/caracald|$work/new|g" \
      "${script[@]}"
}
# run LINE [SED...]: each line of that block has to succeed.
run() {
  local commands
  commands=$(print "$@")
  [ -n "$commands" ] || fail "$page does not have '$1'"
  bash -euo pipefail -c "$commands" || fail "$page: $commands"
}
# The daemon is started as a test does it.
not_daemon='/^caracald /d'

prepare
long=("$work/job.textproto" --set threads=1 --set budget.transfer_steps=1200
  --set checkpoint.every_steps=100 --set validation.every_steps=400)
"$caracal" run "${long[@]}" --out "$work/long" >/dev/null 2>&1 || fail "run"
start_daemon --slots 2 --job-slots 2
# As another user would call it.
address=$(sed -E 's/.*"address":"([^"]*)".*/\1/' "$data/endpoint.json")
bash -euo pipefail -c "$(print 'export CARACAL_SERVER=HOST:PORT' \
  "s|HOST:PORT|$address|"); '$caracal' ls" >/dev/null || fail "$page: HOST:PORT"
[ "$("$caracal" submit "$work/job.textproto")" = 1 ] || fail "submit"
wait_for 1 succeeded
[ "$("$caracal" submit "${long[@]}")" = 2 ] || fail "submit"
eventually "job 2 trains" has_steps 2 60

# Backed up while job 2 trains; a look at its gang; moved; restored.
vacuum=$(sed -n 's/^    \(sqlite3 .*\)/\1/p' "$page")
run "$vacuum"
[ "$(stat -c %a "$work/backup/coordinator.sqlite")" = 600 ] ||
  fail "others can read the back-up"
run 'caracal status 9' 's/ 9\b/ 1/' >"$work/out.txt"
grep -q "finetune step 6/6" "$work/out.txt" || fail "$(cat "$work/out.txt")"
run 'ls /var/lib/caracald/gangs/9-1' 's|gangs/9-|gangs/1-|' >"$work/out.txt"
grep -q '"done"' "$work/out.txt" || fail "$(cat "$work/out.txt")"
for file in spec.json claim lock end.json; do
  grep -q -x "$file" "$work/out.txt" || fail "a gang has no $file"
done
# Asked to save, it goes on as another gang.
run "pkill -USR1 -f 'caracal-gang /var/lib/caracald/gangs/9-1\$'" \
  's|gangs/9-1|gangs/2-1|'
second_gang() { "$caracal" status 2 --json | grep -q '"gangs":2'; }
eventually "job 2 has a second gang" second_gang

# As if the machine went off.
kill_daemon
for pid in $(processes_of_gangs); do kill -KILL "$pid" 2>/dev/null || true; done
gone() { [ -z "$(processes_of_gangs)" ]; }
eventually "gangs are gone" gone
start_copy() {
  data=$1
  export CARACAL_SERVER=$data/endpoint.json
  start_daemon --slots 2 --job-slots 2
}
original=$data
run 'cp -a /var/lib/caracald /new/caracald' "$not_daemon"
start_copy "$work/new"
wait_for 2 succeeded
[ "$(losses "$data/runs/2")" = "$(losses "$work/long")" ] || fail "losses"
kill_daemon

rm -r "$original"
data=$original
run 'mkdir -m 0700 /var/lib/caracald' "$not_daemon"
start_copy "$original"
is 1 succeeded || fail "job 1 is $(state_of 1)"
wait_for 2 succeeded
[ "$(losses "$data/runs/2")" = "$(losses "$work/long")" ] || fail "losses"

# Made smaller.
run 'caracal rm 7' 's/rm 7/rm 1/' 's|runs/7|runs/1|g'
must_fail "there is no job 1" "$caracal" status 1
[ ! -e "$data/runs/1" ] || fail "its run folder is there"
run 'caracal checkpoint prune /var/lib/caracald/runs/8 --keep-last 1' \
  's|runs/8|runs/2|' >/dev/null
# What failed goes on when the reason is gone.
cp "$work/train.h5" "$work/other.h5"
[ "$("$caracal" submit "$work/job.textproto" \
  --set budget.transfer_steps=20000)" = 3 ] || fail "submit"
[ "$("$caracal" submit "$work/job.textproto" \
  --set "data.path=$work/other.h5")" = 4 ] || fail "submit"
head -c 100 "$work/train.h5" >"$work/other.h5"
"$caracal" cancel 3
wait_for 4 failed
cp "$work/train.h5" "$work/other.h5"
run 'caracal ls --state failed' 's/resume 9/resume 4/' >"$work/out.txt"
grep -q -E '^ *4 ' "$work/out.txt" || fail "$(cat "$work/out.txt")"
wait_for 4 succeeded

# What its log says.
says() {
  local words=$1
  shift
  grep -q -F "| \`$words\`" "$page" || fail "$page has no '$words'"
  must_fail "$words" "$caracald" --listen 127.0.0.1:0 "$@"
}
says "another caracald uses this folder" --data "$data"
address=$(sed -E 's/.*"address":"([^"]*)".*/\1/' "$data/endpoint.json")
grep -q "listening on $address, data in $data" "$work/daemon.txt" ||
  fail "$(cat "$work/daemon.txt")"
must_fail "can't listen on $address" "$caracald" --data "$work/other" \
  --listen "$address"
kill -TERM "$daemon"
wait "$daemon" || fail "exit status $?"
daemon=
grep -q "ending; gangs go on" "$work/daemon.txt" ||
  fail "$(cat "$work/daemon.txt")"
sqlite3 "$data/coordinator.sqlite" 'PRAGMA user_version = 1000'
says "is of a newer program" --data "$data"
