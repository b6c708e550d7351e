#!/usr/bin/env bash
# Flags in units, scripts and pages exist, and the unit is one of systemd's.
source "$(dirname "$0")/../end_to_end/common.sh"
caracald=$PWD/$2 worker=$PWD/$3 evald=$PWD/$5
# The system's Python, whichever else comes first in the path.
check=(/usr/bin/python3 tests/deploy/check_flags.py "$caracal" "$caracald"
  "$worker" "$evald" --)
"${check[@]}" deploy/{systemd,slurm,python,container}/* README.md \
  docs/{evaluation,operations,service,slurm}.md || fail "flags"
sed 's|--data|--date|' deploy/systemd/caracald.service >"$work/unit"
must_fail "caracald has no --date" "${check[@]}" "$work/unit"
echo 'bin/caracal status 7 --jobb' >"$work/page"
must_fail "caracal status has no --jobb" "${check[@]}" "$work/page"

# Nothing is started: the unit is read.
unit=$work/caracald.service
sed "s|/opt/caracal/bin/caracald|$caracald|" deploy/systemd/caracald.service \
  >"$unit"
systemd-analyze verify "$unit" 2>"$work/verify.txt" && [ ! -s "$work/verify.txt" ] ||
  fail "$(cat "$work/verify.txt")"
# Exposure, from 0 to 10: 2.0.
systemd-analyze security --offline=true --threshold=25 "$unit" \
  >"$work/security.txt" || fail "$(tail -n 1 "$work/security.txt")"
sed -i 's|^ProtectSystem=strict|ProtectSystem=strikt|' "$unit"
systemd-analyze verify "$unit" 2>"$work/verify.txt" || true
grep -q strikt "$work/verify.txt" || fail "verify sees nothing"

# Its command line, with the example's flags, starts a coordinator.
read -r -a flags < <(sed -n 's/^CARACALD_FLAGS="\(.*\)"/\1/p' \
  deploy/systemd/caracald.env)
"$caracald" --data "$work/data" "${flags[@]/7272/0}" >"$work/daemon.txt" 2>&1 &
daemon=$!
trap 'kill -KILL "$daemon" 2>/dev/null || true' EXIT
for ((i = 0; i < 600; i++)); do
  ! grep -q listening "$work/daemon.txt" || break
  kill -0 "$daemon" 2>/dev/null || fail "$(cat "$work/daemon.txt")"
  sleep 0.05
done
kill -TERM "$daemon"
wait "$daemon" || fail "caracald: exit status $?"
