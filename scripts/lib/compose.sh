# The commands for a system that runs in the containers of docker-compose.yml; sourced by common.sh. Names and output
# are those of crates/stack-cli for processes: `payment` is the first instance of a service, `payment-2` the second. A label
# on each container holds the instance's number, since Compose may number containers otherwise.

# The time within which a container must be healthy.
start_seconds=90

compose() {
  COMPOSE_IGNORE_ORPHANS=true docker compose --project-directory "$root" "$@"
}

# ask_in_containers COMMAND ARGS... : does what `stack COMMAND` does for processes. Commands that query Kafka, Postgres
# and the services run the same program in the image of init.
ask_in_containers() {
  case "$1" in
    events | kafka) need_container kafka "kafka(-[0-9]+)?" ;;
    groups) need_container kafka "kafka(-[0-9]+)?" && need_container postgres ;;
    run) need_container postgres ;;
  esac
  case "$1" in
    start | stop | kill | logs | kafka | run | down) "$1_in_containers" "${@:2}" ;;
    *) ask_init "$@" ;;
  esac
}

ask_init() {
  # A container keeps running when the reader of its output has closed the pipe.
  trap 'docker rm --force "notifyme-ask-$$" >/dev/null 2>&1 || true' EXIT
  compose --progress quiet run --rm --no-deps --name "notifyme-ask-$$" ${FORCE_COLOR:+--env "FORCE_COLOR=$FORCE_COLOR"} init "$@"
}

down_in_containers() {
  compose --profile '*' down "$@"
}

# Runs an operator's command with the settings of the running service, but without its static group membership.
run_in_containers() {
  local service="$1"
  shift
  case "$1" in
    # Only init has the migrator's database URL.
    migrate) ask_init run "$service" "$@" ;;
    # Queries the running instance.
    health) compose exec "$service" service "$@" ;;
    *) compose --progress quiet run --rm --no-deps --env INSTANCE= "$service" "$@" ;;
  esac
}

# Succeeds when a container of this checkout's project runs. Sets the project's name, and the profiles with which Kafka was
# started, since this shell need not have them.
runs_in_containers() {
  local kafka
  command -v docker >/dev/null 2>&1 || return 1
  project="$(compose config --no-interpolate 2>/dev/null | sed -n 's/^name: //p')" || return 1
  [ -n "$project" ] && [ -n "$(containers 2>/dev/null | awk '$2 != "stopped"')" ] || return 1
  read -r _ kafka < <(container kafka) || return 0
  COMPOSE_PROFILES="$(docker inspect --format '{{index .Config.Labels "notifyme.profiles"}}' "$kafka")"
  export COMPOSE_PROFILES
}

# Prints the project's containers, one per line: name, `running` or `stopped`, id. Leaves out one-off commands (`run`).
containers() {
  docker ps --all --filter "label=com.docker.compose.project=$project" --format \
    '{{.Label "com.docker.compose.service"}} {{or (.Label "notifyme.instance") 1}} {{.State}} {{.ID}} {{.Label "com.docker.compose.oneoff"}}' |
    awk '$5 == "False" { print $1 ($2 > 1 ? "-" $2 : ""), ($3 ~ /^(running|restarting|paused)$/ ? "running" : "stopped"), $4 }' | sort
}

# container NAME : prints the state and the id of a container; nothing when it does not exist.
container() {
  containers | awk -v name="$1" '$1 == name { print $2, $3 }'
}

# need_container NAME [PATTERN] : fails at once with the command that helps when no container with this name, or with a
# name of this pattern, runs. The caller would otherwise run into a timeout.
need_container() {
  containers | grep -Eq "^${2:-$1} running " ||
    fail "$1 is not running: ./scripts/start $1, or docker compose up --detach for everything"
}

# Prints the names of the services, found by their folders.
services() {
  local folder
  for folder in "$root"/services/*/Cargo.toml; do basename "$(dirname "$folder")"; done
}

# Parses NAME [--instances N] and sets: given (the name), target (service or server), number (of an instance), count.
read_target() {
  local all
  given="" target="" number="" count=""
  while [ $# -gt 0 ]; do
    case "$1" in
      --instances) count="${2:-0}" && shift ;;
      --instances=*) count="${1#*=}" ;;
      -*) fail "unknown argument: $1; see --help" ;;
      *) [ -z "$given" ] && given="$1" || fail "only one name is allowed: $given or $1" ;;
    esac
    [ $# -eq 0 ] || shift
  done
  [ -n "$given" ] || fail "NAME is missing; see --help"
  case "$count" in
    "" | [1-9] | [1-4][0-9] | 50) ;;
    *) fail "--instances takes a number from 1 to 50" ;;
  esac
  all="$(compose config --services | grep -vxE 'init|kafka-users' | sort)"
  target="$given"
  grep -qxF -- "$target" <<<"$all" || { target="${given%-*}" number="${given##*-}"; }
  case "$number" in
    "") [ -z "$count" ] || is_service "$target" || fail "there is one $target: --instances is for services" ;;
    0* | *[!0-9]*) target="" ;;
  esac
  if ! grep -qxF -- "$target" <<<"$all" || { [ -n "$number" ] && { [ -n "$count" ] || ! is_service "$target"; }; }; then
    fail "there is no \`$given\`; the names are $(tr '\n' ' ' <<<"$all" | sed 's/ $//; s/ /, /g')"
  fi
}

is_service() {
  [ -e "$root/services/$1/Cargo.toml" ]
}

# Prints the pattern of the names of all instances of a service; for a server, its own name.
pattern_of() {
  if is_service "$1"; then echo "$1(-[0-9]+)?"; else echo "$1"; fi
}

# instance_name SERVICE NUMBER : prints payment, payment-2, …
instance_name() {
  if [ "$2" = 1 ]; then echo "$1"; else echo "$1-$2"; fi
}

# Prints the running containers that a stop or kill of the target means, the latest instances first: name, id.
chosen() {
  local wanted
  wanted="^$(pattern_of "$target")\$"
  [ -z "$number" ] || wanted="^$(instance_name "$target" "$number")\$"
  containers | awk -v wanted="$wanted" '$1 ~ wanted && $2 == "running" {
    number = 1; if (match($1, /-[0-9]+$/)) number = substr($1, RSTART + 1); print number, $1, $3
  }' | sort -rn | cut -d ' ' -f 2- | head -n "${count:-999}"
}

# end_containers VERB DOCKER_COMMAND ARGUMENTS... : ends the chosen containers all at once; VERB is `killed` for docker
# kill, `stopped` for docker stop.
end_containers() {
  local verb="$1" docker_command="$2" names name id
  shift 2
  read_target "$@"
  names="$(chosen)"
  [ -n "$names" ] || { echo "$given is not running" && return; }
  # shellcheck disable=SC2046 # a list of ids
  docker $docker_command $(awk '{ print $2 }' <<<"$names") >/dev/null
  while read -r name id; do echo "$name $verb"; done <<<"$names"
}

# Docker itself sends the signal, so `restart: unless-stopped` leaves the container down until `start`.
kill_in_containers() {
  end_containers killed "kill --signal KILL" "$@"
}

stop_in_containers() {
  end_containers stopped stop "$@"
}

start_in_containers() {
  local n
  read_target "$@"
  if is_service "$target" && ! containers | grep -Eq '^(kafka(-[0-9]+)?|postgres) running '; then
    fail "neither Kafka nor Postgres is running: docker compose up --detach starts everything"
  fi
  for n in ${number:-$(seq "${count:-1}")}; do
    start_container "$target" "$n"
  done
}

start_container() {
  local service="$1" number="$2" name state="" id=""
  name="$(instance_name "$service" "$number")"
  read -r state id < <(container "$name") || true
  [ "$state" != running ] || { echo "$name is running already" && return; }
  if [ "$number" = 1 ] && { ! is_service "$service" || only_first "$service"; }; then
    keep_settings "$service"
    compose --progress quiet up --no-start --no-deps "$service"
  elif [ -z "$id" ]; then
    add_container "$service" "$number"
  fi
  read -r state id < <(container "$name") || fail "docker compose did not create $name"
  docker start "$id" >/dev/null
  until_healthy "$name" "$id"
  echo "$name is ready on $(address "$service" "$id")"
}

# Removes the further instances of a service when none of them runs: Compose recreates all containers of a service when
# a setting changes, so only a sole container can be recreated with other settings.
only_first() {
  local name state id
  ! containers | grep -Eq "^$1-[0-9]+ running " || return 1
  while read -r name state id; do docker rm "$id" >/dev/null; done < <(containers | grep "^$1-")
}

# Creates one more container and leaves the others unchanged. A further instance has its own static id and free ports.
add_container() {
  local count
  count="$(containers | grep -Ec "^$1(-[0-9]+)? ")" || true
  keep_settings "$1"
  if [ "$2" != 1 ]; then
    export INSTANCE_NUMBER="$2" INSTANCE_PORT="" INSTANCE_OPS_PORT=""
  fi
  compose --progress quiet up --no-start --no-deps --no-recreate --scale "$1=$((count + 1))" "$1"
  unset INSTANCE_NUMBER INSTANCE_PORT INSTANCE_OPS_PORT
}

# Passes the settings of the shell to the container; a setting that the shell does not set keeps its current value.
keep_settings() {
  local state id="" pair name
  read -r state id < <(container "$1") || true
  [ -n "$id" ] || return 0
  while IFS= read -r pair; do
    name="${pair%%=*}"
    [ -n "$name" ] || continue
    if grep -Eq "^( *$name:( \\$\{$name:-.*)?|$name)\$" "$root/docker-compose.yml" "$(kafka_settings)" && [ -z "${!name:-}" ]; then
      export "$pair"
    fi
  done < <(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$id")
}

# Prints the file of the addresses of Kafka and the login.
kafka_settings() {
  echo "$root/compose/${COMPOSE_PROFILES:-default}.env"
}

until_healthy() {
  local name="$1" id="$2" deadline=$((SECONDS + start_seconds)) state
  while state="$(docker inspect --format '{{.State.Health.Status}} {{.RestartCount}}' "$id")" && [ "$state" != "healthy 0" ]; do
    if [ "$SECONDS" -ge "$deadline" ] || [ "${state##* }" != 0 ]; then
      fail "$name did not become ready; the end of its log:" "$(docker logs --tail 15 "$id" 2>&1)"
    fi
    sleep 0.2
  done
}

# Prints the address of a container: for this machine, or for the other containers (kafka, postgres).
address() {
  local published
  case "$1" in
    kafka | kafka-*) echo "$1:9092" ;;
    postgres) echo postgres:5432 ;;
    *)
      published="$(docker port "$2" | awk '/^8(080|025)\/tcp/ { print $3; exit }')"
      echo "http://$published"
      ;;
  esac
}

# Runs Kafka's tools in a separate container: the memory limit of the broker's container allows no second JVM.
kafka_in_containers() {
  local brokers
  brokers="$(sed -n 's/^KAFKA_BROKERS=//p' "$(kafka_settings)")"
  compose --progress quiet run --rm --no-deps --env KAFKA_HEAP_OPTS=-Xmx256m --entrypoint bash kafka -c '
    tools=/opt/kafka/bin brokers="$1" name="${2#kafka-}" && name="${name%.sh}" && shift 2
    [ -x "$tools/kafka-$name.sh" ] || {
      echo "there is no tool \`$name\`; the tools are $(cd "$tools" && ls kafka-*.sh | sed "s/^kafka-//; s/\.sh$//" | paste -sd, - | sed "s|,|, |g")" >&2
      exit 1
    }
    case " $name $*" in
      *" --help"* | *" --bootstrap-"* | " dump-log "* | " storage "*) ;;
      " cluster "*) set -- "$@" --bootstrap-server "$brokers" ;;
      *) set -- --bootstrap-server "$brokers" "$@" ;;
    esac
    case " ,$COMPOSE_PROFILES, $*" in
      *" --command-config"*) ;;
      *,secure,*" --bootstrap-server "*) set -- "$@" --command-config /etc/kafka/users/kafka-admin.properties ;;
    esac
    exec "$tools/kafka-$name.sh" "$@"' kafka "$brokers" "$@"
}

. "$root/scripts/lib/compose-logs.sh"
