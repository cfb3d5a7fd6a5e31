# What the scripts share; sourced by them. Bash 3.2 is enough (macOS).

# With it, cd prints a folder, or goes to another one.
unset CDPATH
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
export CHECKOUT="$root"
data="${STACK_DATA:-$root/.data}"

# Where Cargo puts the programs, and so where they are found: its other settings of a target folder are overruled.
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${CARGO_BUILD_TARGET_DIR:-target}}"
case "$CARGO_TARGET_DIR" in
  /*) ;;
  *) CARGO_TARGET_DIR="$root/$CARGO_TARGET_DIR" ;;
esac
export CARGO_TARGET_DIR
unset CARGO_BUILD_TARGET CARGO_BUILD_TARGET_DIR

# The program behind the scripts. Where a file of Cargo's names a build target, it lies one folder deeper.
find_stack() {
  local program
  stack="$CARGO_TARGET_DIR/debug/stack"
  for program in "$CARGO_TARGET_DIR"/*/debug/stack; do
    if [ "$program" -nt "$stack" ]; then stack="$program"; fi
  done
}
find_stack

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

# curl towards this system, which is on loopback: never through a proxy, and without ~/.curlrc. A token goes in as
# --header @- on standard input: a command line can be read by other users.
local_curl() {
  curl --disable --noproxy '*' --silent --show-error --max-time 10 "$@"
}

# For the commands that talk to what `up` has started.
need_stack() {
  [ -x "$stack" ] || fail "nothing runs here: ./scripts/up starts the system as processes, docker compose up in containers"
}

# ask_stack COMMAND ARGS... : answered by what runs: processes of this checkout, else the containers of docker-compose.yml.
ask_stack() {
  if ! runs_here && runs_in_containers; then
    ask_in_containers "$@"
    exit
  fi
  need_stack
  exec "$stack" "$@"
}

runs_here() {
  local file pid
  for file in "$data"/run/*.pid; do
    if [ -e "$file" ] && read -r pid _ <"$file" && kill -0 "$pid" 2>/dev/null; then
      return 0
    fi
  done
  return 1
}

# Always the whole workspace: built one by one, the crates' features differ, and half is built again.
build() {
  printf '  … building (the first time takes some minutes)\n'
  (cd "$root" && cargo build --workspace)
  find_stack
}

# A system that runs out of room half way leaves a mess: better told before.
need_room() {
  local free memory
  free="$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1024) }')"
  [ "$free" -ge 2048 ] || fail "only $free MiB are free on the disk of $root; 2048 are needed"
  if [ -r /proc/meminfo ] && [ ! -e "$data/run/kafka.pid" ]; then
    memory="$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)"
    [ "${memory:-1536}" -ge 1536 ] || fail "only $memory MiB of memory are available; 1536 are needed"
  fi
}

# What is needed to build and to start the servers: found, or installed by apt when this is root's, or named.
. "$root/scripts/lib/prerequisites.sh"

# Where the system runs in containers.
. "$root/scripts/lib/compose.sh"
