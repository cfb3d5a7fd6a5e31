# The steps of scripts/test-containers for the profiles of docker-compose.yml, one function per behaviour.

test_profiles() {
  step "a service that is started without the variable keeps the profiles" profiles_are_kept
  step "the flag --profile and unknown profiles end with an error" profiles_without_settings_fail
  step "token, groups and events answer; doctor finds no problem" commands_answer
  step "an order is confirmed, and its mail arrives in Mailpit" order_is_confirmed
  step "Notify Me: subscribed, confirmed, notified, bought" customer_is_won_back
  step "redrive, rewind and migrate" operators_commands_answer
  case ",$COMPOSE_PROFILES," in *,secure,*)
    step "a client without a user is refused" stranger_is_refused
    step "payment can read orders, and cannot read customers" payment_cannot_read_customers
    step "no password is in the environment of a container" environments_have_no_password
    ;;
  esac
  case ",$COMPOSE_PROFILES," in *,three-brokers,*)
    step "three replicas of each topic, of which two must have an event" topics_are_replicated
    for name in kafka kafka-2 kafka-3; do
      step "$name is killed, orders are confirmed, $name is started again" broker_is_killed "$name"
    done
    step "the data of three nodes are not started as one" one_node_is_refused
    ;;
  esac
  step "down and up: the orders are kept" orders_survive
  step "total memory" memory_is_bounded
  printf 'all passed in %s s\n' "$SECONDS"
}

# A later shell need not have the variable.
profiles_are_kept() {
  local environment setting
  env -u COMPOSE_PROFILES "$root/scripts/kill" payment
  env -u COMPOSE_PROFILES "$root/scripts/start" payment
  environment="$(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$(compose ps --quiet payment)")"
  while read -r setting; do
    grep -qxF -- "$setting" <<<"$environment" || fail "payment was started without $setting"
  done < <(grep = "$(kafka_settings)")
}

# Without the variable, a container of a profile would get the settings of a system without it.
profiles_without_settings_fail() {
  local profile
  for profile in secure three-brokers; do
    until_is "set COMPOSE_PROFILES=$profile instead of --profile" failure_of up_with "" --profile "$profile"
  done
  until_is 'compose/sorcery.env not found' failure_of up_with sorcery
}

# up_with PROFILES [OPTIONS...] : shows what `up` would do with these profiles.
up_with() {
  (export COMPOSE_PROFILES="$1" && compose "${@:2}" up --dry-run --detach)
}

operators_commands_answer() {
  "$root/scripts/run" payment migrate
  "$root/scripts/run" order redrive --dry-run
  "$root/scripts/run" notification rewind orders --to beginning
  until_is '^notification .* orders .* 0$' "$root/scripts/groups"
}

stranger_is_refused() {
  # Without these times, a tool waits for a minute.
  until_is 'TimeoutException\|DisconnectException' failure_of \
    kafka_with $'default.api.timeout.ms=8000\nrequest.timeout.ms=4000' topics --list
  until_is 'Authentication failed' failure_of kafka_with "$(login_of payment wrong)" topics --list
}

payment_cannot_read_customers() {
  local login
  login="$(login_of payment "$(password_of payment)")"
  until_is '^orders:0:' kafka_with "$login" get-offsets --topic orders
  until_is 'Not authorized to access topics: \[customers\]' \
    kafka_with "$login" console-consumer --topic customers --partition 0 --offset earliest --timeout-ms 10000
}

# kafka_with PROPERTIES TOOL ARGS... : runs one of Kafka's tools with these properties instead of the administrator's.
kafka_with() {
  compose run --rm --no-deps --env KAFKA_HEAP_OPTS=-Xmx256m --entrypoint bash kafka -c '
    printf "%s\n" "$1" >/tmp/client.properties
    exec "/opt/kafka/bin/kafka-$2.sh" --bootstrap-server kafka:9092 --command-config /tmp/client.properties "${@:3}"' kafka "$@"
}

# login_of USER PASSWORD : prints the properties of a client that logs in as this user.
login_of() {
  printf 'security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=%s username="%s" password="%s";\n' \
    "org.apache.kafka.common.security.plain.PlainLoginModule required" "$1" "$2"
}

# Prints the password that init has given a service.
password_of() {
  docker cp --quiet "$(compose ps --quiet "$1")":/run/secrets/kafka-password - | tar -xO
}

environments_have_no_password() {
  local password
  password="$(password_of payment)"
  [ "${#password}" -ge 32 ] || fail "payment has no password"
  # shellcheck disable=SC2046 # a list of ids
  ! docker inspect $(compose ps --all --quiet) | grep -F "$password" || fail "the password of payment is in the settings of a container"
  ! docker inspect $(compose ps --all --quiet) | grep -E '"KAFKA_SASL_PASSWORD=.' || fail "a container has a password in its environment"
}

topics_are_replicated() {
  local described
  described="$("$root/scripts/kafka" topics --describe --topic orders)"
  grep -q 'ReplicationFactor: *3.*min.insync.replicas=2' <<<"$described" || fail "orders has other settings:" "$described"
  prints "" "$root/scripts/kafka" topics --describe --under-replicated-partitions
}

# Checks that orders are confirmed while one node is down, and that all replicas are in sync again after its start.
broker_is_killed() {
  prints "$1 killed" "$root/scripts/kill" "$1"
  until_order "$(place mug-stoneware pm_card_visa dan@example.com)" confirmed
  "$root/scripts/groups"
  prints "$1 is ready on $1:9092" "$root/scripts/start" "$1"
  until_order "$(place mug-stoneware pm_card_visa dan@example.com)" confirmed
  until_is '^in sync$' replicas
}

replicas() {
  [ -n "$("$root/scripts/kafka" topics --describe --under-replicated-partitions)" ] || echo "in sync"
}

one_node_is_refused() {
  until_is 'the data are those of a Kafka with 3 node' failure_of env COMPOSE_PROFILES= \
    docker compose --project-directory "$root" run --rm --no-deps kafka
}
