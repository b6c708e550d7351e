#!/usr/bin/env bash
# A pool of workers measures what one process does, to the last byte, whoever
# is killed meanwhile.
source "$(dirname "$0")/service.sh"
evald=$PWD/$3
prepare
"$caracal" run "$work/job.textproto" --out "$work/run" >/dev/null 2>&1 ||
  fail "caracal run"

declare -A workers=()
end_workers() {
  local pid
  for pid in "${workers[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
}
trap 'end_workers; end_all' EXIT
# worker NAME OPTIONS...: starts one.
worker() {
  "$evald" --name "$1" --threads 1 "${@:2}" 2>>"$work/$1.log" &
  workers[$1]=$!
}
# crash NAME: kill -9.
crash() {
  kill -KILL "${workers[$1]}"
  wait "${workers[$1]}" 2>/dev/null || true
  unset "workers[$1]"
}
# parts NAME: that it has done.
parts() { grep -c 'is done' "$work/$1.log" || true; }
has_done() { [ "$(parts "$1")" -ge "$2" ]; }
says() { grep -q -s -F -- "$2" "$work/$1.log"; }
server=(--server "$data/endpoint.json")
# What takes a while, in parts that do: each is a pass over all rows.
for i in 1 2; do make_text; done >"$work/text.txt"
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 48 --out "$work/many.h5" >/dev/null || fail "data pack"
brief=(attribute "$work/run" --data "$work/many.h5" --batch 1
  --modes hybrid,swa_only)
long=("${brief[@]}" --ablate heads)
whole=(--part-rows 100000)
"$caracal" "${long[@]}" --json >"$work/local.json" 2>/dev/null ||
  fail "caracal attribute"
"$caracal" "${brief[@]}" --json >"$work/brief.json" 2>/dev/null ||
  fail "caracal attribute"
must_fail "no coordinator answers" "$caracal" "${long[@]}" --server 127.0.0.1:1

# A worker is killed in the middle of a part, and so is the coordinator.
start_daemon --evaluation-lease 2
worker ann
worker bob
"$caracal" "${long[@]}" "${whole[@]}" "${server[@]}" --json \
  >"$work/remote.json" 2>"$work/remote.txt" &
client=$!
eventually "ann has done two parts" has_done ann 2
crash ann
before=$(parts bob)
eventually "bob goes on" has_done bob $((before + 2))
kill_daemon
eventually "bob misses the coordinator" says bob "trying again"
start_daemon --evaluation-lease 2
wait "$client" || fail "attribute: $(cat "$work/remote.txt" "$work/bob.log")"
cmp "$work/local.json" "$work/remote.json" || fail "not the same figures"
count=$(sed -n -E 's/^measured ([0-9]+) of \1 parts$/\1/p' "$work/remote.txt")
[ -n "$count" ] || fail "$(cat "$work/remote.txt")"
"$caracal" evaluation list "${server[@]}" | grep -q " $count/$count " ||
  fail "not $count parts: $("$caracal" evaluation list "${server[@]}")"
says bob "the coordinator is back" || fail "$(cat "$work/bob.log")"

# One that comes back late is refused. It may be frozen between two parts, and
# then holds none, or find that bob was faster: once more.
worker ann
has_done_or_over() { has_done "$@" || ! kill -0 "$client" 2>/dev/null; }
for try in 1 2 3 4 5; do
  done_before=$(parts ann)
  "$caracal" "${brief[@]}" "${whole[@]}" "${server[@]}" --json \
    >"$work/late.json" 2>/dev/null &
  client=$!
  eventually "ann has a part" has_done_or_over ann $((done_before + 1))
  kill -STOP "${workers[ann]}"
  # Bob gets ann's part when its lease has run out.
  wait "$client" || fail "attribute with a worker that is late"
  cmp "$work/brief.json" "$work/late.json" || fail "not the same figures"
  kill -CONT "${workers[ann]}"
  if says ann "is not this worker's any more" ||
    { "$evald" --idle-exit 1 2>/dev/null &&
      says ann "is not this worker's any more"; }; then
    break
  fi
  [ "$try" -lt 5 ] || fail "ann was never refused: $(cat "$work/ann.log")"
done

# SIGTERM gives the part back at once: nobody waits for the lease to run out.
crash bob
kill_daemon
start_daemon --evaluation-lease 600
: >"$work/ann.log"
"$caracal" "${brief[@]}" "${whole[@]}" "${server[@]}" --json \
  >"$work/term.json" 2>/dev/null &
client=$!
eventually "ann has done a part" has_done ann 1
kill -TERM "${workers[ann]}"
wait "${workers[ann]}" || fail "ann ended with $?"
unset 'workers[ann]'
worker cy
wait "$client" || fail "attribute after SIGTERM"
cmp "$work/brief.json" "$work/term.json" || fail "not the same figures"

# The same words, pages and probes as of the local command.
short=(attribute "$model" --data "$work/heldout.h5" --rows 6 --window 8
  --sinks 2 --features 32 --mode-at layers=1:swa_only --probe passkey
  --probe-lengths 128 --probe-samples 2 --seed 3)
"$caracal" "${short[@]}" --html "$work/here.html" >"$work/here.txt" \
  2>/dev/null || fail "caracal attribute"
"$caracal" "${short[@]}" --html "$work/there.html" "${server[@]}" \
  >"$work/there.txt" 2>"$work/err.txt" || fail "$(cat "$work/err.txt")"
diff "$work/here.txt" "$work/there.txt" || fail "not the same words"
cmp "$work/here.html" "$work/there.html" || fail "not the same page"

# What is wrong with it is told.
must_fail "nonsense" "$caracal" attribute "$model" --data "$work/train.h5" \
  --modes nonsense "${server[@]}"
must_fail "nothing to measure" "$caracal" attribute "$model" "${server[@]}"
# So is what no worker can read, at once: nobody tries it five times.
: >"$work/cy.log"
for missing in "$model --data $work/none.h5" "$work/none --data $work/train.h5"; do
  # shellcheck disable=SC2086
  must_fail "none" "$caracal" attribute $missing "${server[@]}"
done
[ "$(grep -c "part 0 failed" "$work/cy.log")" -eq 2 ] ||
  fail "$(cat "$work/cy.log")"
# A plan that is too large ends its evaluation, and holds no worker.
"$caracal" data pack --tokenizer "$model" --input "$work/text.txt" \
  --seq-len 8 --out "$work/short.h5" >/dev/null || fail "data pack"
must_fail "parts, expected at most 16384: the smallest that works is" \
  "$caracal" attribute "$model" --data "$work/short.h5" --batch 1 \
  --part-rows 1 --ablate heads --window 4 --sinks 0 --features 32 \
  "${server[@]}"
! grep -q "is done" "$work/cy.log" || fail "$(cat "$work/cy.log")"

# Ctrl-C cancels it; the worker goes on with what comes next.
crash cy
"$caracal" "${long[@]}" "${server[@]}" >/dev/null 2>"$work/stopped.txt" &
client=$!
eventually "it waits for workers" grep -q -s evaluation "$work/stopped.txt"
kill -TERM "$client"
status=0
wait "$client" || status=$?
[ "$status" -ne 0 ] && grep -q "stopped while measuring" "$work/stopped.txt" ||
  fail "$status: $(cat "$work/stopped.txt")"
# One whose command is gone is cancelled by its number.
newest() {
  "$caracal" evaluation list --limit 1 --json |
    sed -E 's/.*"id":([0-9]+),.*"state":"([a-z]*)".*/\1 \2/'
}
stopped=$(newest)
[ "${stopped#* }" = cancelled ] || fail "the newest is $stopped"
"$caracal" "${long[@]}" "${server[@]}" >/dev/null 2>"$work/gone.txt" &
client=$!
is_another() { [ "$(newest)" != "$stopped" ] && [[ $(newest) = *planning ]]; }
eventually "it waits for workers" is_another
kill -KILL "$client"
wait "$client" 2>/dev/null || true
id=$(newest)
"$caracal" evaluation cancel "${id% *}" || fail "evaluation cancel"
[ "$(newest)" = "${id% *} cancelled" ] || fail "$(newest)"
"$caracal" evaluation list | grep -q "cancelled" ||
  fail "$("$caracal" evaluation list)"
must_fail "there is no evaluation 999" "$caracal" evaluation cancel 999
# Nothing is left to do.
"$evald" --idle-exit 0.5 2>"$work/idle.log" || fail "$(cat "$work/idle.log")"
grep -q "there is nothing to do" "$work/idle.log" &&
  ! grep -q "is done" "$work/idle.log" || fail "$(cat "$work/idle.log")"

# On a machine with a GPU, or without: in a line of its own, nothing is leased.
if ! nvidia-smi -L >/dev/null 2>&1; then
  must_fail "CUDA" "$evald" --device cuda --idle-exit 0.5
  [ "$(wc -l <"$work/err.txt")" = 1 ] || fail "$(cat "$work/err.txt")"
fi

# It says that the coordinator is away, and gives up when it may.
kill_daemon
must_fail "no coordinator answers" "$evald" --idle-exit 0.3
