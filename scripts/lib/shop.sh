# The shop's HTTP API as customers and the operator use it, with curl; sourced by scripts/test-containers.

order=http://127.0.0.1:8080 inventory=http://127.0.0.1:8082 notification=http://127.0.0.1:8083 mail=http://127.0.0.1:8025
timeout_seconds=60

# request [CURL ARGUMENTS...] URL : prints the body of the answer; fails unless the status is 2xx.
request() {
  local_curl --fail "$@"
}

json() {
  request --header 'content-type: application/json' "$@"
}

as_operator() {
  json --header @- "$@" <<<"authorization: Bearer $token"
}

# field NAME : prints the first string field of this name in the JSON on standard input.
field() {
  grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4
}

# place SKU METHOD EMAIL [MORE FIELDS] : places an order and prints its id.
place() {
  json "$order/orders" --data "{\"email\":\"$3\",\"items\":[{\"sku\":\"$1\",\"quantity\":1}],\"payment_method\":\"$2\"${4-}}" | field id
}

# until_is PATTERN COMMAND... : repeats the command until its output matches the pattern; fails after 60 s.
until_is() {
  local wanted="$1" deadline=$((SECONDS + timeout_seconds)) said=""
  shift
  while ! { said="$("$@" 2>&1)" && grep -q -- "$wanted" <<<"$said"; }; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited $timeout_seconds s for '$wanted' from: $*" "$said"
    sleep 0.3
  done
}

# until_order ID STATUS : waits until an order has this status.
until_order() {
  until_is "\"status\":\"$2\"" request "$order/orders/$1"
}

# mail_to ADDRESS WORDS : prints the text of the newest mail to ADDRESS whose subject contains WORDS.
mail_to() {
  local id
  id="$(request --get "$mail/api/v1/search" --data-urlencode "query=to:\"$1\" subject:\"$2\"" | field ID)"
  [ -n "$id" ] && request "$mail/view/$id.txt"
}

# link_in ADDRESS WORDS PATH : prints the link in that mail whose path begins with PATH.
link_in() {
  until_is "$notification_links$3" mail_to "$1" "$2"
  mail_to "$1" "$2" | grep -o "$notification_links$3[^[:space:]]*" | head -n 1
}
notification_links=http://localhost:8083
