#!/usr/bin/env bash
# home.sh by itself, and that the scripts which need a home source it before
# they call anything: they run here beside a setup.sh that only tells.
set -euo pipefail
deploy=$(dirname "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
check() {  # NAME: the rest must hold
  local name=$1
  shift
  "$@" || { echo "FAILED: $name" && failures=$((failures + 1)); }
}
home() {  # the home that home.sh settles on, under `env "$@"`
  env "$@" bash -euo pipefail -c \
    'source "$1" && bash -c "echo \$HOME"' - "$deploy/home.sh"
}

mkdir "$work/mine"
check "a good home stays" [ "$(home HOME="$work/mine")" = "$work/mine" ]
for environment in "-u HOME" "HOME=" "HOME=$work/missing"; do
  # Either that of the password file or a folder made for the purpose.
  found=$(home $environment TMPDIR="$work")
  check "$environment: $found can be written" [ -w "$found" ]
  check "$environment: not $work/missing" [ "$found" != "$work/missing" ]
done

mkdir "$work/deploy"
cp "$deploy"/{home,demo,test}.sh "$work/deploy/"
cat >"$work/deploy/setup.sh" <<'SETUP'
#!/usr/bin/env bash
echo "home: $HOME" && exit 3
SETUP
chmod +x "$work/deploy/setup.sh"
for script in demo test; do
  status=0
  env -u HOME -u XDG_CACHE_HOME TMPDIR="$work" bash "$work/deploy/$script.sh" \
    >"$work/out.txt" 2>&1 || status=$?
  check "$script.sh gets to setup.sh without HOME: $(cat "$work/out.txt")" \
    [ "$status" -eq 3 ]
  found=$(sed -n 's/^home: //p' "$work/out.txt")
  check "$script.sh has the home '$found'" [ -w "$found" ]
done

[ "$failures" -eq 0 ]
