#!/usr/bin/env bash
# The tar of deploy/package.sh, of the programs as they are built here, works
# where nothing of what it brings is installed: those libraries of this machine
# are hidden, where the kernel lets us (a mount namespace).
source "$(dirname "$0")/../end_to_end/common.sh"
programs=$work/programs
mkdir "$programs"
ln -s "$PWD/$1" "$PWD/$2" "$PWD/$3" "$PWD/$4" "$PWD/$5" "$programs/"
must_fail "unknown argument '--nonsense'" deploy/package.sh --nonsense
deploy/package.sh --programs "$programs" --out "$work/package.tar.gz" ||
  fail "package.sh"
mkdir "$work/machine"
tar xzf "$work/package.tar.gz" -C "$work/machine"
package=$(echo "$work"/machine/caracal-*)
for name in README.md LICENSE docs/operations.md proto/coordinator.proto \
  deploy/slurm/convert.sbatch deploy/slurm/evaluate.sbatch deploy/alerts.yml \
  deploy/prometheus.yml deploy/grafana/caracal.json licences/libgrpc29 \
  licences/libjs-chart.js; do
  [ -s "$package/$name" ] || fail "no $name"
done

hidden=()
for name in "$package"/lib/*; do
  hidden+=("$(realpath "/usr/lib/x86_64-linux-gnu/$(basename "$name")")")
done
# hide COMMAND...: runs it without them.
hide() {
  "${namespace[@]}" bash -c '
    n=$1
    shift
    for file in "${@:1:n}"; do mount --bind /dev/null "$file" || exit 99; done
    exec "${@:n+1}"' hide "${#hidden[@]}" "${hidden[@]}" "$@"
}
namespace=(unshare --mount)
[ "$(id -u)" -eq 0 ] || namespace+=(--user --map-root-user)
if hide true 2>/dev/null; then
  ! hide "$caracal" --version >/dev/null 2>&1 || fail "nothing is hidden"
else
  echo "package_test: no mount namespaces here: the libraries stay in sight"
  hide() { "$@"; }
fi
mkdir "$work/home" "$work/used"
(cd "$work/home" && hide env -i "HOME=$work/home" bash \
  "$OLDPWD/tests/deploy/installed.sh" "$package" "$model" "$work/used") ||
  fail "the unpacked tar does not work"
