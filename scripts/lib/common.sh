# What the scripts share; sourced by them. Bash 3.2 is enough (macOS).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
# shellcheck disable=SC2034 # used by the scripts
stack="${CARGO_TARGET_DIR:-$root/target}/debug/stack"

# The comment at the top of a script is its manual.
help_if_asked() {
  local script="$1" argument
  shift
  for argument in "$@"; do
    case "$argument" in
      -h | --help)
        awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$script"
        exit 0
        ;;
    esac
  done
}

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# For the commands that talk to what `up` has started.
need_stack() {
  [ -x "$stack" ] || fail "nothing is built yet: run ./scripts/up first"
}

# What is needed to build and to start the servers: found, or installed by apt when this is root's, or named.
. "$root/scripts/lib/prerequisites.sh"
