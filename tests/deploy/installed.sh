#!/usr/bin/env bash
# What somebody does with an unpacked tar of deploy/package.sh, in a bare
# environment: installed.sh PACKAGE MODEL WORK.
set -euo pipefail
export PATH=$1/bin:/usr/bin:/bin
package=$1 model=$2 work=$3
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
for program in caracal caracald caracal-evald; do
  "$program" --version | grep -q "^caracal [0-9]" || fail "$program --version"
done

for ((i = 0; i < 700; i++)); do
  echo "In the year $((1000 + i * 7 % 913)) there were $((i * i % 97)) of them."
done >"$work/text.txt"
caracal data pack --tokenizer "$model" --input "$work/text.txt" --seq-len 48 \
  --out "$work/train.h5" >/dev/null
cat >"$work/job.textproto" <<JOB
preset: "lolcats"
model { path: "$model" }
data { path: "train.h5" }
attention { window: 8 sinks: 2 features: 32 }
budget { transfer_steps: 2 finetune_steps: 2 batch: 4 }
evaluation { rows: 4 }
threads: 1
JOB
caracal run "$work/job.textproto" --out "$work/alone" >"$work/run.txt" 2>&1 ||
  fail "caracal run: $(tail -n 5 "$work/run.txt")"
[ -s "$work/alone/report.html" ] || fail "no report"

export CARACAL_SERVER=$work/data/endpoint.json
caracald --data "$work/data" --listen 127.0.0.1:0 >"$work/daemon.txt" 2>&1 &
daemon=$!
trap 'kill -KILL "$daemon" 2>/dev/null || true' EXIT
for ((i = 0; i < 600; i++)); do
  ! caracal ls >/dev/null 2>&1 || break
  kill -0 "$daemon" || fail "caracald: $(cat "$work/daemon.txt")"
  sleep 0.05
done
# Two ranks: through caracal-gang and mpirun.
id=$(caracal submit "$work/job.textproto" --set parallel.data=2)
# What of this machine's is not its own, and not said to be needed.
foreign=$(sed -n 's|.* \(/.*\.so[.0-9]*\)$|\1|p' "/proc/$daemon/maps" |
  sort -u | grep -v "^$package/lib/" |
  grep -vE '/(ld-linux-x86-64|lib(c|m|dl|pthread|rt|resolv|stdc\+\+|gcc_s|z|zstd|ssl|crypto|nss_[a-z]*))\.so[.0-9]*$') || true
[ -z "$foreign" ] || fail "caracald has loaded $foreign"
caracal logs "$id" -f >"$work/logs.txt" || fail "logs"
caracal status "$id" | grep -q succeeded ||
  fail "$(caracal status "$id"; tail -n 20 "$work/logs.txt")"
[ -s "$work/data/runs/$id/report.html" ] || fail "no report"
# A worker measures the run.
caracal-evald --threads 1 2>"$work/evald.txt" &
worker=$!
attribute=(attribute "$work/alone" --data "$work/train.h5" --rows 8 --json)
caracal "${attribute[@]}" >"$work/here.json" 2>/dev/null || fail "attribute"
caracal "${attribute[@]}" --server "$CARACAL_SERVER" >"$work/there.json" \
  2>"$work/err.txt" || fail "attribute --server: $(cat "$work"/{err,evald}.txt)"
cmp "$work/here.json" "$work/there.json" || fail "not the same figures"
kill -TERM "$worker"
wait "$worker" || fail "caracal-evald: exit status $?"
kill -TERM "$daemon"
wait "$daemon" || fail "caracald: exit status $?"
