# What scripts/test-containers tries, a function a behaviour; sourced by it.

# The image of a service may be this much larger than its base.
image_limit_mb=40
memory_limit_mb=1536

# step TITLE COMMAND... : quiet when it goes well, else with all that was said. In the background, since in a condition
# the shell would go on after a failure inside of a function.
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
  compose down --volumes --remove-orphans --rmi local --timeout 5 >/dev/null 2>&1 || true
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

payment_is_scaled() {
  local ids="" id count
  compose up --detach --wait --scale payment=3
  until_is '^3$' members_of payment
  for count in $(seq 30); do ids="$ids $(place notebook-linen pm_card_visa "many$count@example.com")"; done
  for id in $ids; do until_order "$id" confirmed; done
  compose up --detach --wait --scale payment=1
}

# How many members read the topic orders for a service.
members_of() {
  "$root/scripts/groups" | awk -v group="$1" '$1 == group && $2 != "-" && $3 == "orders"' | wc -l | tr -d ' '
}

compose_restart() {
  compose restart
  compose up --detach --wait
  order_is_confirmed
}

# What comes in while a container is down is done when it is back.
container_is_killed() {
  local before="" name="$1"
  compose kill "$name"
  case "$name" in
    order | postgres)
      ! place mug-stoneware pm_card_visa dan@example.com || fail "an order was taken without $name"
      ;;
    *) before="$(place mug-stoneware pm_card_visa dan@example.com)" ;;
  esac
  compose up --detach --wait
  [ -z "$before" ] || until_order "$before" confirmed
  until_order "$(place mug-stoneware pm_card_visa dan@example.com)" confirmed
}

# A kill by Docker's own command is taken as meant, and nothing is restarted: so from outside, where that is possible.
process_crashes() {
  local id pid
  id="$(compose ps --quiet payment)"
  pid="$(docker inspect --format '{{.State.Pid}}' "$id")"
  if ! kill -9 "$pid" 2>/dev/null; then
    note "left out: this shell cannot kill the process of a container"
    return
  fi
  until_order "$(place mug-stoneware pm_card_visa eve@example.com)" confirmed
  [ "$(docker inspect --format '{{.RestartCount}}' "$id")" -ge 1 ] || fail "it was not started again"
}

orders_survive() {
  local id
  id="$(place mug-stoneware pm_card_visa fay@example.com)"
  until_order "$id" confirmed
  compose down
  compose up --detach --wait
  until_order "$id" confirmed
  [ "$("$root/scripts/token")" = "$token" ] || fail "the operator's token is another one"
  order_is_confirmed
}

# The services' names, by their folders.
services() {
  local folder
  for folder in "$root"/services/*/Cargo.toml; do basename "$(dirname "$folder")"; done
}

images_are_lean() {
  local name id image base size
  base="$(docker image inspect --format '{{.Size}}' "$(sed -n 's/^ARG BASE=//p' "$root/Dockerfile")" 2>/dev/null || echo 0)"
  for name in $(services); do
    id="$(compose ps --quiet "$name")"
    image="$(docker inspect --format '{{.Image}}' "$id")"
    size=$((($(docker image inspect --format '{{.Size}}' "$image") - base) / 1000000))
    note "$name: $size MB over its base"
    [ "$size" -le "$image_limit_mb" ] || fail "that is more than $image_limit_mb"
    [ "$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$id")" = true ] || fail "its files can be written"
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
  note "together $used MiB"
  [ "$used" -le "$memory_limit_mb" ] || fail "that is more than $memory_limit_mb"
}
