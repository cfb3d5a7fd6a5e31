# The shop as its customers and its operator use it, by curl; sourced by scripts/test-containers.

order=http://127.0.0.1:8080 inventory=http://127.0.0.1:8082 notification=http://127.0.0.1:8083 mail=http://127.0.0.1:8025
patience=60

# request [CURL ARGUMENTS...] URL : the answer's body; fails unless the answer is a success.
request() {
  local_curl --fail "$@"
}

json() {
  request --header 'content-type: application/json' "$@"
}

as_operator() {
  json --header @- "$@" <<<"authorization: Bearer $token"
}

# The first string of this name in the JSON on standard input.
field() {
  grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4
}

# place SKU METHOD EMAIL [MORE MEMBERS] : the id of the new order.
place() {
  json "$order/orders" --data "{\"email\":\"$3\",\"items\":[{\"sku\":\"$1\",\"quantity\":1}],\"payment_method\":\"$2\"${4-}}" | field id
}

# until_is WHAT COMMAND... : until the command prints a line that is, or holds, WHAT.
until_is() {
  local wanted="$1" deadline=$((SECONDS + patience)) said=""
  shift
  while ! { said="$("$@" 2>&1)" && grep -q -- "$wanted" <<<"$said"; }; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited $patience s for '$wanted' from: $*" "$said"
    sleep 0.3
  done
}

# until_order ID STATUS
until_order() {
  until_is "\"status\":\"$2\"" request "$order/orders/$1"
}

# The newest mail to ADDRESS whose subject holds WORDS, as text.
mail_to() {
  local id
  id="$(request --get "$mail/api/v1/search" --data-urlencode "query=to:\"$1\" subject:\"$2\"" | field ID)"
  [ -n "$id" ] && request "$mail/view/$id.txt"
}

# link_in ADDRESS WORDS PATH : the link of that mail that begins with PATH.
link_in() {
  until_is "$notification_links$3" mail_to "$1" "$2"
  mail_to "$1" "$2" | grep -o "$notification_links$3[^[:space:]]*" | head -n 1
}
notification_links=http://localhost:8083
