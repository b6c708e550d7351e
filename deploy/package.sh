#!/usr/bin/env bash
# Makes one tar of Caracal that runs on Debian 12 and Ubuntu 24.04, without the
# packages that it is built from.
#
#   deploy/package.sh [--out FILE.tar.gz] [--compilation-mode fastbuild|opt]
#                     [--programs FOLDER]
#
# --out               default: caracal-VERSION-linux-x86_64.tar.gz, here
# --compilation-mode  of Bazel; default: fastbuild, which .bazelrc has
#                     optimised: the very programs that the tests have run
# --programs          takes the five programs from this folder, and builds none
#
# In the tar, under caracal-VERSION/:
#
#   bin/       caracal, caracald, caracal-gang, caracal-worker and
#              caracal-evald, which look for each other beside themselves, and
#              for libraries in ../lib
#   lib/       shared libraries of Debian 12: those that differ between the two
#              systems, and what those need
#   deploy/    units, batch scripts, the Python client (proto/: its services),
#              Prometheus' configuration, alerts, a dashboard for Grafana
#   docs/, README.md, LICENSE, licences/ (of lib/, by Debian's package)
#
# The machine that it runs on brings openmpi-bin (Open MPI 4.1), and with it
# the libraries named in `host` below. All else is checked to be in lib/, and no
# symbol to be newer than the C library of Debian 12.
set -euo pipefail

fail() {
  echo "package.sh: $*" >&2
  exit 1
}

out= mode=fastbuild programs=
while [ $# -gt 0 ]; do
  case "$1" in
    --out | --compilation-mode | --programs)
      [ $# -ge 2 ] || fail "$1 needs a value"
      ;;
    *) fail "unknown argument '$1' (--out, --compilation-mode, --programs)" ;;
  esac
  case "$1" in
    --out) out=$(realpath -m -- "$2") ;;
    --compilation-mode) mode=$2 ;;
    --programs) programs=$(realpath -- "$2") ;;
  esac
  shift 2
done
for tool in patchelf objdump strip dpkg; do
  command -v "$tool" >/dev/null ||
    fail "no $tool: deploy/setup.sh installs what is needed"
done
start=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "$programs" ]; then
  source deploy/home.sh
  targets=(//jobs/client:caracal //jobs/coordinator:caracald
    //jobs/launch:caracal-gang //jobs/worker:caracal-worker
    //jobs/evaluator:caracal-evald)
  bazel build --compilation_mode="$mode" "${targets[@]}"
  programs=$work/programs
  mkdir "$programs"
  # Not through bazel-bin, which another build may move meanwhile.
  bin=$(bazel info --compilation_mode="$mode" bazel-bin 2>/dev/null)
  for target in "${targets[@]}"; do
    target=${target#//}
    ln -s "$bin/${target/://}" "$programs/"
  done
fi

# --- The programs.
version=$("$programs/caracal" --version)
version=${version#caracal }
root=$work/caracal-$version
mkdir -p "$root"/{bin,lib,licences}
for name in caracal caracald caracal-gang caracal-worker caracal-evald; do
  cp -L -- "$programs/$name" "$root/bin/"
  chmod 0755 "$root/bin/$name"
  strip --strip-unneeded "$root/bin/$name"
  # Before LD_LIBRARY_PATH, in which a site's modules may have other versions.
  patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$root/bin/$name"
done

# --- The libraries. Those of the host, by soname:
host=(
  # The C and C++ run time: there, and at least Debian 12's.
  linux-vdso.so.1 ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libdl.so.2
  libpthread.so.0 librt.so.1 libresolv.so.2 libstdc++.so.6 libgcc_s.so.1
  # dpkg needs them, and so does the host's Open MPI.
  libz.so.1 libzstd.so.1
  # It has to fit the site's mpirun, srun and network. Behind it are dozens.
  libmpi.so.40
  # Its holes are mended by the host's distribution.
  libssl.so.3 libcrypto.so.3
)
is_host() {
  local name
  for name in "${host[@]}"; do [ "$name" != "$1" ] || return 0; done
  return 1
}
needed() { objdump -p "$1" | sed -n 's/^ *NEEDED *//p'; }

declare -A places=()
reals=()
while read -r name _ place _; do places[$name]=$place; done < <(
  for name in "$root"/bin/*; do ldd "$name"; done | grep ' => /'
)
queue=("$root"/bin/*)
while [ ${#queue[@]} -gt 0 ]; do
  file=${queue[0]}
  queue=("${queue[@]:1}")
  for name in $(needed "$file"); do
    ! is_host "$name" || continue
    [ ! -e "$root/lib/$name" ] || continue
    place=${places[$name]:-}
    [ -n "$place" ] || fail "$file needs $name, which is not on this machine"
    real=$(realpath -- "$place")
    cp -- "$real" "$root/lib/$name"
    chmod 0644 "$root/lib/$name"
    # A RUNPATH of its own would keep the programs' from being looked at.
    ! objdump -p "$real" | grep -qE '^ *(RPATH|RUNPATH)' ||
      fail "$real looks for libraries by itself"
    queue+=("$root/lib/$name")
    reals+=("$real")
  done
done
# dpkg may know them under /lib, of old; one look at all of them is quick.
declare -A owners=()
while read -r package path; do
  owners[/usr${path#/usr}]=${package%%:*}
done < <(dpkg -S "${reals[@]}" "${reals[@]#/usr}" 2>/dev/null)
for real in "${reals[@]}"; do
  package=${owners[$real]:-}
  [ -n "$package" ] || fail "$real is of no package: whose licence?"
  cp -L -- "/usr/share/doc/$package/copyright" "$root/licences/$package"
done

# Of these, headers are compiled in, or a script that the page runs.
for package in nlohmann-json3-dev libcli11-dev libjs-chart.js; do
  cp -L -- "/usr/share/doc/$package/copyright" "$root/licences/$package"
done

# --- What goes with them.
cp -r -- README.md LICENSE docs "$root/"
mkdir "$root/deploy" "$root/proto"
cp -- proto/*.proto "$root/proto/"
cp -rL -- deploy/slurm deploy/systemd deploy/python deploy/container \
  deploy/grafana deploy/prometheus.yml deploy/alerts.yml "$root/deploy/"
find "$root" -type d -exec chmod 0755 {} +
find "$root/docs" "$root/proto" "$root/licences" "$root/README.md" \
  "$root/LICENSE" -type f -exec chmod 0644 {} +

# --- Will it run elsewhere?
versions=$(objdump -T "$root"/bin/* "$root"/lib/* |
  grep -oE '(GLIBC|GLIBCXX|CXXABI)_[0-9.]+' | sort -uV)
while read -r prefix most; do
  found=$(grep "^${prefix}_" <<<"$versions" | tail -n 1)
  [ "$(printf '%s\n' "$found" "${prefix}_$most" | sort -V | tail -n 1)" = \
    "${prefix}_$most" ] || fail "needs $found; Debian 12 has up to $most"
done <<LIMITS
GLIBC 2.36
GLIBCXX 3.4.30
CXXABI 1.3.13
LIMITS
for file in "$root"/bin/* "$root"/lib/*; do
  for name in $(needed "$file"); do
    is_host "$name" || [ -e "$root/lib/$name" ] ||
      fail "$(basename "$file") needs $name, which is not in lib/"
  done
done
for file in "$root"/bin/*; do
  missing=$(env -i ldd "$file" | grep 'not found') &&
    fail "$(basename "$file"): $missing"
done

# --- The same files, the same tar.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
[ -n "$out" ] || out=$start/caracal-$version-linux-x86_64.tar.gz
tar --create --directory="$work" --sort=name --owner=0 --group=0 \
  --numeric-owner --mtime="@$date" --format=gnu "caracal-$version" |
  gzip -n >"$out.tmp"
mv -- "$out.tmp" "$out"
echo "$out: $(du -h "$out" | cut -f1), $(ls "$root/lib" | wc -l) libraries"
