# Sourced by the scripts beside it: makes sure that HOME is a folder that can
# be written to. Bazel, its disk cache and the demo's model live under it, and
# a service may have none.
if [ ! -d "${HOME:-}" ] || [ ! -w "${HOME:-}" ]; then
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6) || true
  [ -d "$HOME" ] && [ -w "$HOME" ] || HOME=${TMPDIR:-/tmp}/caracal-$(id -u)
  mkdir -p -- "$HOME"
  export HOME
fi
