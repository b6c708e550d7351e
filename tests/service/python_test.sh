#!/usr/bin/env bash
# The Python client of deploy/python, as docs/python.md has it.
source "$(dirname "$0")/service.sh"
prepare
# The system's Python, whichever else comes first in the path.
python=/usr/bin/python3
"$python" -c 'import grpc' ||
  fail "$python has no grpc: deploy/setup.sh installs python3-grpcio"
client=deploy/python/submit_and_watch.py
# commands PAGE FIRST: that make stubs, the first of which begins so.
commands() {
  sed -n "/^    $2/,/measurement.proto\$/p" "$1" | grep . ||
    fail "$1 does not say how stubs are made by $2"
}
# make_stubs FOLDER COMMANDS: in another folder than theirs.
make_stubs() {
  local commands=${2//=stubs/=$work/$1}
  mkdir "$work/$1"
  bash -euc "$commands" || fail "$commands"
}
make_stubs stubs "$(commands docs/python.md protoc)"
# With the folder that deploy/fetch_grpcio_tools.sh prints, as deploy/test.sh
# does: its version is that of Debian's grpcio, and makes the same.
tools=$(commands README.md "python3 -m grpc_tools")
[ "$(commands docs/python.md "python3 -m grpc_tools")" = "$tools" ] ||
  fail "README.md has other commands than docs/python.md"
if [ -n "${CARACAL_GRPCIO_TOOLS:-}" ]; then
  make_stubs tools_stubs \
    "PYTHONPATH=$CARACAL_GRPCIO_TOOLS ${tools//python3/$python}"
  diff -r "$work/stubs" "$work/tools_stubs" || fail "other stubs"
  export PYTHONPATH=$work/tools_stubs
else
  export PYTHONPATH=$work/stubs
fi
start_daemon

# Paths are the coordinator's: absolute.
sed -E "s|\"([a-z0-9]*\.h5)\"|\"$work/\1\"|g" "$work/job.textproto" \
  >"$work/absolute.textproto"
"$python" "$client" "$work/absolute.textproto" >"$work/python.txt" ||
  fail "$(cat "$work/python.txt" "$work/daemon.txt")"
[ "$(head -n 1 "$work/python.txt")" = "job 1" ] || fail "no id"
[ "$(tail -n 1 "$work/python.txt")" = succeeded ] || fail "no end"
# Losses as the run folder has them.
"$python" - "$data/runs/1/metrics.jsonl" >"$work/expected.txt" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    m = json.loads(line)
    print(f"{m['stage']} step {m['step']}: loss {m['loss']}")
PYTHON
[ "$(wc -l <"$work/expected.txt")" -eq 12 ] || fail "steps"
grep loss "$work/python.txt" | diff - "$work/expected.txt" || fail "losses"

# What is wrong is told, all of it, and nothing else.
sed -E 's|window: 8|window: -8|; s|seed: 7|model { path: "/nowhere" }|; 2d' \
  "$work/absolute.textproto" >"$work/bad.textproto"
must_fail "bad.textproto:" "$python" "$client" "$work/bad.textproto"
for field in attention.window model.path; do
  grep -q -E "^$work/bad.textproto:[0-9]+:[0-9]+: $field: " "$work/err.txt" ||
    fail "$(cat "$work/err.txt")"
done
! grep -v "^$work/bad.textproto:" "$work/err.txt" || fail "more is told"

# The coordinator is killed while a job is watched, and comes back elsewhere.
sed 's|transfer_steps: 6|transfer_steps: 3000|; s|every_steps: [23] |every_steps: 1000 |' \
  "$work/absolute.textproto" >"$work/long.textproto"
"$python" "$client" "$work/long.textproto" --priority 3 >"$work/long.txt" &
watcher=$!
eventually "job 2 trains" grep -q -s 'step 20:' "$work/long.txt"
# So that the gang does not end meanwhile.
ranks=$(processes_of_gangs)
kill -STOP $ranks
kill_daemon
start_daemon
kill -CONT $ranks
wait "$watcher" || fail "$(tail -n 5 "$work/long.txt")"
# None is told twice or left out, whether the gang has told it or left it.
grep loss "$work/long.txt" | sed -E 's/.* step ([0-9]+):.*/\1/' \
  >"$work/seen.txt"
sed -E 's/.*"step":([0-9]+),.*/\1/' "$data/runs/2/metrics.jsonl" |
  diff - "$work/seen.txt" || fail "steps of job 2"
[ "$(tail -n 1 "$work/long.txt")" = succeeded ] || fail "no end of job 2"

# TLS and tokens, by the variables and options of `caracal`.
kill_daemon
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
  -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=caracald \
  -addext subjectAltName=DNS:localhost 2>/dev/null
chmod 600 "$work/key.pem"
admin=$("$caracald" --data "$data" token create root --role admin)
export CARACAL_TOKEN=$admin
start_daemon --tls-certificate "$work/cert.pem" --tls-key "$work/key.pem"
viewer=$("$caracal" token create vera --role viewer 2>/dev/null)
run=("$python" "$client" "$work/absolute.textproto")
[ "$("${run[@]}" | tail -n 1)" = succeeded ] || fail "by endpoint.json"
port=$(sed -E 's/.*"address":"[^"]*:([0-9]+)".*/\1/' "$data/endpoint.json")
(umask 077 && echo "$admin" >"$work/token")
[ "$(CARACAL_TOKEN= "${run[@]}" --server "localhost:$port" \
  --ca "$work/cert.pem" --token-file "$work/token" | tail -n 1)" = succeeded ] ||
  fail "by --ca and --token-file"
must_fail "needs the role submitter" env "CARACAL_TOKEN=$viewer" "${run[@]}"
must_fail "not known here" env "CARACAL_TOKEN=${admin}x" "${run[@]}"
must_fail "a token is needed" env -u CARACAL_TOKEN "HOME=$work" "${run[@]}"
chmod 644 "$work/token"
must_fail "others can read" "${run[@]}" --token-file "$work/token"
must_fail "not sent to 192.0.2.1:7272 without TLS" "${run[@]}" \
  --server 192.0.2.1:7272
must_fail "needs TLS" "${run[@]}" --server 127.0.0.1:7272 \
  --certificate "$work/cert.pem" --certificate-key "$work/key.pem"
must_fail "go together" "${run[@]}" --certificate "$work/cert.pem"
