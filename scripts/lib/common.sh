# The functions that the scripts share; sourced by each. Bash 3.2 is enough (macOS).

# With CDPATH set, cd would print a folder, or change to another one.
unset CDPATH
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
export CHECKOUT="$root"
data="${STACK_DATA:-$root/.data}"

# The folder into which Cargo builds, and in which the scripts find the programs. Overrides Cargo's other settings.
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${CARGO_BUILD_TARGET_DIR:-target}}"
case "$CARGO_TARGET_DIR" in
  /*) ;;
  *) CARGO_TARGET_DIR="$root/$CARGO_TARGET_DIR" ;;
esac
export CARGO_TARGET_DIR
unset CARGO_BUILD_TARGET CARGO_BUILD_TARGET_DIR

# Finds the program behind the scripts. A build target in a Cargo configuration file puts it one folder deeper.
find_stack() {
  local program
  stack="$CARGO_TARGET_DIR/debug/stack"
  for program in "$CARGO_TARGET_DIR"/*/debug/stack; do
    if [ "$program" -nt "$stack" ]; then stack="$program"; fi
  done
}
find_stack

# Prints the comment at the top of a script, which is its manual, when an argument is -h or --help.
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

# Runs curl against this system on loopback: never through a proxy, and without ~/.curlrc. Pass a token with --header @-
# on standard input: other users can see a command line.
local_curl() {
  curl --disable --noproxy '*' --silent --show-error --max-time 10 "$@"
}

# Fails when the program behind the scripts is not built, and so no `up` has run.
need_stack() {
  [ -x "$stack" ] || fail "nothing runs here: ./scripts/up starts the system as processes, docker compose up in containers"
}

# ask_stack COMMAND ARGS... : runs a command against the running system: the processes of this checkout, else the
# containers of docker-compose.yml.
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

# Builds the programs: that of the scripts and one per service. Tests need more crates, but the same features of these.
build() {
  local service packages=(--package stack-cli)
  printf '  … building (the first time takes some minutes)\n'
  for service in "$root"/services/*/; do
    packages+=(--package "$(basename "$service")")
  done
  # Only a Kafka that asks for TLS, SCRAM or OAUTHBEARER needs OpenSSL's headers.
  case "${KAFKA_SECURITY_PROTOCOL:-} ${KAFKA_SASL_MECHANISM:-}" in
    *OAUTH* | *oauth*) need_all has_openssl has_curl_headers && packages+=(--features broker/oidc) ;;
    *SSL* | *ssl* | *SCRAM* | *scram*) need_all has_openssl && packages+=(--features broker/tls) ;;
  esac
  (cd "$root" && cargo build "${packages[@]}")
  find_stack
}

# Fails early when disk space or memory is short: a start that runs out of either midway leaves files and processes.
need_room() {
  local memory
  [ -x "$stack" ] || need_disk "$CARGO_TARGET_DIR" 3072
  need_disk "$data" 1024
  if [ -r /proc/meminfo ] && [ ! -e "$data/run/kafka.pid" ]; then
    memory="$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)"
    [ "${memory:-1536}" -ge 1536 ] || fail "only $memory MiB of memory are available; 1536 are needed"
  fi
}

# need_disk FOLDER MIB
need_disk() {
  local folder="$1" free
  while [ ! -e "$folder" ]; do folder="$(dirname "$folder")"; done
  free="$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }')"
  [ "$free" -ge "$2" ] || fail "only $free MiB are free on the disk of $folder; $2 are needed"
}

. "$root/scripts/lib/prerequisites.sh"
. "$root/scripts/lib/compose.sh"
