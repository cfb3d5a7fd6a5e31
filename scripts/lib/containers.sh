# The steps of scripts/test-containers, one function per behaviour; also sourced by test-readme for the first functions.

need_docker() {
  command -v docker >/dev/null && docker compose version >/dev/null || fail "Docker with Compose is missing"
}

# Checks the ports before anything starts: Docker notices a conflict only at the end, and does not name the holder.
need_free_ports() {
  local port
  for port in 8025 8080 8081 8082 8083 8084 9080 9081 9082 9083 9084; do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
      fail "port $port is in use: stop its holder first (./scripts/down, docker compose down; else \`sudo ss -ltnp\` names it)"
  done
}

# The maximum size of a service's image beyond its base image.
image_limit_mb=40
memory_limit_mb=1536

# step TITLE COMMAND... : runs a step and prints its output only when it fails. The command runs in the background: as a
# condition, `set -e` would not apply inside the function.
step() {
  local title="$1" start="$SECONDS"
  shift
  ("$@") >"$said" 2>&1 </dev/null &
  if ! wait $!; then
    printf '✗ %s\n' "$title" >&2
    cat "$said" >&2
    compose ps --all >&2
    compose logs --tail 15 >&2
    exit 1
  fi
  printf '✓ %s (%s s)\n' "$title" "$((SECONDS - start))"
  sed -n 's/^note: /    /p' "$said"
}
said="$(mktemp)"

note() {
  printf 'note: %s\n' "$*"
}

clean_up() {
  compose --profile '*' down --volumes --remove-orphans --rmi local --timeout 5 >/dev/null 2>&1 || true
}

commands_answer() {
  [ "${#token}" -ge 32 ] || fail "no token: $token"
  until_is '^inventory .* orders .* 0$' "$root/scripts/groups"
  until_is 'product.listed.v1' catalogue_events
  "$root/scripts/doctor"
}

catalogue_events() {
  timeout 5 "$root/scripts/events" products --from-beginning || [ $? = 124 ]
}

order_is_confirmed() {
  until_order "$(place mug-stoneware pm_card_visa ada@example.com)" confirmed
  until_is 'Total: 14.50 EUR' mail_to ada@example.com confirmed
}

orders_are_refused() {
  local declined sold_out
  declined="$(place mug-stoneware pm_card_chargeDeclined bob@example.com)"
  sold_out="$(place pen-limited pm_card_visa bob@example.com)"
  until_is payment_declined request "$order/orders/$declined"
  until_is out_of_stock request "$order/orders/$sold_out"
}

customer_is_won_back() {
  local claim who=carol@example.com
  json "$notification/subscriptions" --data "{\"email\":\"$who\",\"sku\":\"pen-limited\"}"
  request --data '' "$(link_in "$who" confirm /subscriptions/confirm)"
  as_operator "$inventory/products/pen-limited/restock" --data '{"quantity":3}'
  claim="$(link_in "$who" 'is back' /c/)"
  request --data '' "$claim"
  until_order "$(place pen-limited pm_card_visa "$who" ",\"claim\":\"${claim##*/}\"")" confirmed
  until_is '"sku":"pen-limited".*"converted":1' as_operator "$notification/reports/notify-me"
}

# prints TEXT COMMAND... : checks that a command prints this text, which is the same as for processes.
prints() {
  local wanted="$1" said
  shift
  said="$("$@" 2>&1)" || fail "failed: $*" "$said"
  [ "$said" = "$wanted" ] || fail "expected from $*:" "$wanted" "but got:" "$said"
}

ports_are_those_of_processes() {
  local place
  for place in 0 1 2 3; do
    request "http://127.0.0.1:808$place/openapi.json" >/dev/null
    request "http://127.0.0.1:908$place/health/ready"
  done
}

# Checks that docker-compose.yml, or its file of Kafka's settings, passes every setting that `--help` of a service names, except LISTEN and OPS_LISTEN,
# which the image sets, and the secrets, which init writes.
settings_reach_the_services() {
  local name setting passed missing=""
  for name in $(services); do
    passed="$(compose config --no-interpolate | awk -v name="$name" '/^  [a-z]/ { within = $1 == name ":" } within')
$(cat "$(kafka_settings)")"
    for setting in $("$root/scripts/run" "$name" --help | grep -o '\[env: [A-Z_]*' | cut -c 7- | grep -Evx 'LISTEN|OPS_LISTEN|(MIGRATE_)?DATABASE_URL|ADMIN_TOKEN|TOKEN_KEY|CONTROL_(URL|TOKEN)'); do
      grep -Eq "^ *${setting}(_FILE)?(:|=|\$)" <<<"$passed" || missing="$missing $name:$setting"
    done
  done
  [ -z "$missing" ] || fail "docker-compose.yml does not pass on:$missing"
}

# Checks that each line names its instance or continues the message above it, and that lines are sorted by time.
logs_are_those_of_processes() {
  "$root/scripts/logs" notification >"$said.logs"
  grep -Eq '^[0-9:.]{12} notification-1 +✉ to a\*\*\*@example.com: ' "$said.logs" || fail "no mail to a***@example.com in the log"
  "$root/scripts/logs" >"$said.logs"
  ! grep -Ev '^([0-9:.]{12} (order|payment|inventory|notification|board)-1 | +│ )' "$said.logs" || fail "these lines have another format"
  for name in $(services); do grep -q " $name-1 " "$said.logs" || fail "$name logged nothing"; done
  # The lines are sorted by Docker's time, which is a moment later than the time that the service printed.
  awk '/^[0-9]/ { split($1, t, ":"); now = (t[1] * 60 + t[2]) * 60 + t[3]; if (now < last - 1) exit 1; last = now }' "$said.logs" ||
    fail "the lines are not sorted by time"
  until_is . "$root/scripts/logs" kafka
}

# Checks that logs -f continues after a restart of the process.
logs_are_followed() {
  "$root/scripts/logs" -f notification >"$said.logs" &
  trap "kill $!" EXIT
  place mug-stoneware pm_card_visa gil@example.com
  until_is 'to g\*\*\*@example.com' cat "$said.logs"
  "$root/scripts/kill" notification
  "$root/scripts/start" notification
  place mug-stoneware pm_card_visa hal@example.com
  until_is 'to h\*\*\*@example.com' cat "$said.logs"
  [ "$(grep -c 'to g\*\*\*@example.com' "$said.logs")" = "$("$root/scripts/logs" notification | grep -c 'to g\*\*\*@example.com')" ] ||
    fail "a line was shown twice, or not at all"
}

tools_answer() {
  until_is '^LeaderId: *1$' "$root/scripts/kafka" metadata-quorum describe --status
  prints "$(printf 'dlq.board\ndlq.inventory\ndlq.notification\ndlq.order\ndlq.payment')" dead_letter_topics
  until_is 'there is no tool' failure_of "$root/scripts/kafka" sorcery
  "$root/scripts/run" order redrive --dry-run
  "$root/scripts/run" notification rewind orders --to beginning
  until_is '^notification .* orders .* 0$' "$root/scripts/groups"
}

dead_letter_topics() {
  "$root/scripts/kafka" topics --list | grep '^dlq'
}

failure_of() {
  local said
  ! said="$("$@" 2>&1)" || fail "did not fail: $*"
  echo "$said"
}

mistakes_are_explained() {
  until_is 'hold its ports: ./scripts/down first' failure_of "$root/scripts/up" --detach
  until_is 'there is no .nobody.; the names are .*payment' failure_of "$root/scripts/kill" nobody
  until_is 'there is one kafka' failure_of "$root/scripts/start" kafka --instances 2
  until_is 'a number from 1 to 50' failure_of "$root/scripts/start" payment --instances 51
  prints "payment-7 is not running" "$root/scripts/stop" payment-7
  prints "order is running already" "$root/scripts/start" order
}

# Checks also that GATEWAY_LATENCY keeps the value that `start` got, as with processes.
payment_is_scaled() {
  local ids="" id count
  prints "$(printf 'payment is running already\npayment-2 is ready\npayment-3 is ready')" start_payments
  until_is '^3$' members_of payment
  for count in 1 2 3; do until_is "^payment  *payment-$count  *orders " "$root/scripts/groups"; done
  for count in $(seq 30); do ids="$ids $(place notebook-linen pm_card_visa "many$count@example.com")"; done
  for id in $ids; do until_order "$id" confirmed; done
  prints "$(printf 'payment-3 killed\npayment-2 killed')" "$root/scripts/kill" payment --instances 2
  prints "payment stopped" "$root/scripts/stop" payment
  GATEWAY_LATENCY=7ms "$root/scripts/start" payment
  "$root/scripts/kill" payment
  prints "payment is ready on http://127.0.0.1:8081" "$root/scripts/start" payment
  docker inspect --format '{{.Config.Env}}' "$(compose ps --quiet payment)" | grep -q 'GATEWAY_LATENCY=7ms' || fail "GATEWAY_LATENCY was lost"
  until_order "$(place mug-stoneware pm_card_visa ada@example.com)" confirmed
}

start_payments() {
  "$root/scripts/start" payment --instances 3 | sed 's/ on http.*//'
}

# Prints the number of members of a service's group that consume the topic orders.
members_of() {
  "$root/scripts/groups" | awk -v group="$1" '$1 == group && $2 != "-" && $3 == "orders"' | wc -l | tr -d ' '
}

compose_restart() {
  compose restart
  compose up --detach --wait
  order_is_confirmed
}

# Checks that orders placed while a container is down complete after its restart.
container_is_killed() {
  local before="" name="$1"
  prints "$name killed" "$root/scripts/kill" "$name"
  case "$name" in
    order | postgres)
      ! place mug-stoneware pm_card_visa dan@example.com || fail "an order was taken without $name"
      ;;
    *) before="$(place mug-stoneware pm_card_visa dan@example.com)" ;;
  esac
  [ "$(compose ps --all --format '{{.State}}' "$name")" = exited ] || fail "Docker restarted $name after the kill"
  "$root/scripts/start" "$name"
  [ -z "$before" ] || until_order "$before" confirmed
  until_order "$(place mug-stoneware pm_card_visa dan@example.com)" confirmed
}

# Kills the process from outside of Docker, where that is possible: after a `docker kill`, Docker does not restart.
process_crashes() {
  local id pid
  id="$(compose ps --quiet payment)"
  pid="$(docker inspect --format '{{.State.Pid}}' "$id")"
  if ! kill -9 "$pid" 2>/dev/null; then
    note "skipped: this shell cannot kill the process of a container"
    return
  fi
  until_order "$(place mug-stoneware pm_card_visa eve@example.com)" confirmed
  [ "$(docker inspect --format '{{.RestartCount}}' "$id")" -ge 1 ] || fail "Docker did not restart the container"
}

orders_survive() {
  local id
  id="$(place mug-stoneware pm_card_visa fay@example.com)"
  until_order "$id" confirmed
  compose down
  compose up --detach --wait
  until_order "$id" confirmed
  [ "$("$root/scripts/token")" = "$token" ] || fail "the operator's token has changed"
  order_is_confirmed
}

images_are_lean() {
  local name id image base size
  base="$(docker image inspect --format '{{.Size}}' "$(sed -n 's/^ARG BASE=//p' "$root/Dockerfile")" 2>/dev/null || echo 0)"
  for name in $(services); do
    id="$(compose ps --quiet "$name")"
    image="$(docker inspect --format '{{.Image}}' "$id")"
    size=$((($(docker image inspect --format '{{.Size}}' "$image") - base) / 1000000))
    note "$name: $size MB more than its base image"
    [ "$size" -le "$image_limit_mb" ] || fail "the limit is $image_limit_mb MB"
    [ "$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$id")" = true ] || fail "its file system is writable"
    case "$(docker inspect --format '{{.Config.User}}' "$id")" in
      "" | 0 | root) fail "it runs as root" ;;
    esac
    ! docker run --rm --entrypoint /bin/sh "$image" -c true || fail "it has a shell"
  done
}

memory_is_bounded() {
  local ids used
  ids="$(compose ps --quiet)"
  # shellcheck disable=SC2086 # a list of ids
  docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' $ids | sed 's/^/note: /'
  # shellcheck disable=SC2086
  used="$(docker stats --no-stream --format '{{.MemUsage}}' $ids | awk '{ split($1, part, /[A-Za-z]/); total += part[1] * ($1 ~ /GiB/ ? 1024 : $1 ~ /KiB/ ? 1 / 1024 : 1) } END { print int(total) }')"
  note "total: $used MiB"
  [ "$used" -le "$memory_limit_mb" ] || fail "the limit is $memory_limit_mb MiB"
}
