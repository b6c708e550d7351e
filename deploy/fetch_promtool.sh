#!/usr/bin/env bash
# Prints the path of promtool, which checks deploy/prometheus.yml and
# deploy/alerts.yml. Taken from Debian's package prometheus, unpacked into the
# cache folder: to install it would start a server. Exit status 1 without a
# package index.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/home.sh

if command -v promtool; then exit 0; fi
folder=$HOME/.cache/caracal/promtool
if [ ! -x "$folder/promtool" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # Root's downloads are made by another user, who has to get in.
  chmod 755 "$work"
  (cd "$work" && apt-get download -qq prometheus) >&2 || exit 1
  dpkg-deb -x "$work"/prometheus_*.deb "$work/all"
  mkdir -p "$folder"
  mv "$work/all/usr/bin/promtool" "$folder/promtool.new"
  mv "$folder/promtool.new" "$folder/promtool"
fi
echo "$folder/promtool"
