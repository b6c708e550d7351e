#!/usr/bin/env bash
# What deploy/ gives Prometheus and Grafana goes with what /metrics prints.
source "$(dirname "$0")/service.sh"
prepare
start_daemon
"$caracal" submit "$work/job.textproto" --set budget.transfer_steps=20000 \
  >/dev/null || fail "submit"
metrics=$("$caracal" dashboard)metrics
has_loss() {
  python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode(), end="")' \
    "$metrics" >"$work/metrics.txt"
  grep -q '^caracal_job_loss{id="1",' "$work/metrics.txt"
}
eventually "its loss is known" has_loss
"$caracal" cancel 1

names() { grep -ohE 'caracal_[a-z_]+' "$@" | sort -u; }
used=$(names deploy/alerts.yml deploy/grafana/caracal.json)
[ "$(wc -l <<<"$used")" -ge 15 ] || fail "metrics used: $used"
# Of histograms the parts, of all others their descriptions.
printed=$(sed -nE 's/^# TYPE (caracal_[a-z_]+) .*/\1/p
  s/^(caracal_[a-z_]+).*/\1/p' "$work/metrics.txt")
for name in $used; do
  grep -qxF "$name" <<<"$printed" || fail "/metrics has no $name"
done
python3 -m json.tool deploy/grafana/caracal.json >/dev/null ||
  fail "the dashboard is no JSON"

# With the path that deploy/fetch_promtool.sh prints, as deploy/test.sh does.
promtool=${CARACAL_PROMTOOL:-}
if [ -z "$promtool" ]; then
  echo "not run, for want of promtool: checks of the files' syntax" >&2
  exit 0
fi
"$promtool" check config deploy/prometheus.yml || fail "prometheus.yml"
"$promtool" check metrics <"$work/metrics.txt" || fail "/metrics"
"$promtool" test rules tests/service/alerts_test.yml || fail "alerts.yml"
