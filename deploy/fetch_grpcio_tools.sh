#!/usr/bin/env bash
# Prints the folder of grpcio-tools, which makes Python's stubs of the services
# (docs/python.md): the version that goes with Debian's python3-grpcio, fetched
# once into the cache folder (2 MB). Exit status 1 without a package index, or a
# pip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/home.sh

fail() {
  echo "fetch_grpcio_tools.sh: $*" >&2
  exit 1
}

package=grpcio-tools==1.51.1
digest=3a671466158ed74c07ee070fb940ed783acf59ba6e6e53cb4de8fd63819c6c7f
folder=${XDG_CACHE_HOME:-$HOME/.cache}/caracal/grpcio-tools-1.51.1
if [ ! -d "$folder" ]; then
  mkdir -p "$(dirname "$folder")"
  pip="python3 -m pip"
  $pip --version >/dev/null 2>&1 || pip="/usr/bin/python3 -m pip"
  fetched=$(mktemp -d "$folder.XXXXXX")
  trap 'rm -rf "$fetched"' EXIT
  # For Debian's Python, whichever pip it is.
  $pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
    --platform manylinux2014_x86_64 --dest "$fetched/wheel" "$package" >&2 ||
    fail "could not fetch $package from the package index"
  echo "$digest  $(echo "$fetched"/wheel/*.whl)" |
    sha256sum --check --status || fail "$package is not what it was"
  unzip -q "$fetched"/wheel/*.whl -d "$fetched/tools"
  mv "$fetched/tools" "$folder"
fi
echo "$folder"
