# Shows the logs of the containers as ./scripts/logs shows those of processes; sourced by compose.sh.

# logs_in_containers [-f] [NAME] : prints the log so far, sorted by time, then new lines. With a name, prints the bare
# lines; without, the `stack` program of the init image labels each line with its service.
logs_in_containers() {
  local follow="" name="" all wanted now
  while [ $# -gt 0 ]; do
    case "$1" in
      -f | --follow) follow=1 ;;
      -*) fail "unknown argument: $1; see --help" ;;
      *) name="$1" ;;
    esac
    shift
  done
  wanted="$(pattern_of "${name:-($(services | paste -sd '|' -))}")"
  [ -n "$name" ] || wanted="$wanted(-[0-9]+)?"
  wanted="^$wanted "
  all="$(containers)"
  grep -Eq -- "$wanted" <<<"$all" ||
    fail "there is no \`$name\`; the names are $(cut -d ' ' -f 1 <<<"$all" | paste -sd , - | sed 's/,/, /g')"
  now="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  if [ -n "$name" ]; then
    show_logs 3-
  else
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then export FORCE_COLOR=1; fi
    show_logs 1,3- | ask_init logs --stdin
  fi
}

# show_logs FIELDS : prints these fields of each line: 1 the container's name, 2 the time, 3 the line itself.
show_logs() {
  history_of "$wanted" ${follow:+--until "$now"} | LC_ALL=C sort -s -k 2,2 | cut -d ' ' -f "$1"
  [ -z "$follow" ] || follow_logs "$1"
}

# history_of NAMES [DOCKER LOGS ARGUMENTS...] : prints the logs so far. Drops lines without a time, which come from
# Docker itself while it removes a container.
history_of() {
  local wanted="$1" name state id
  shift
  while read -r name state id; do
    docker logs --timestamps "$@" "$id" 2>&1 | sed -n "s/^[0-9]/$name &/p"
  done < <(containers | grep -E -- "$wanted")
}

# Follows the logs of all matching containers, also of those that start later.
follow_logs() {
  local fields="$1" known=" " name state id
  # shellcheck disable=SC2046 # a list of ids
  trap 'kill $(jobs -p) 2>/dev/null' EXIT
  while :; do
    while read -r name state id; do
      case "$known" in *" $id "*) continue ;; esac
      known="$known$id "
      follow_container "$name" "$id" "$now" &
    done < <(containers | grep -E -- "$wanted")
    sleep 1
  done
}

# Follows the log of one container until it is removed. `docker logs --follow` ends with the process, so the command is
# repeated, from the last line on.
follow_container() {
  local id="$2" last="$3" line label=""
  [ "$fields" = 3- ] || label="$1 "
  while docker inspect "$id" >/dev/null 2>&1; do
    while IFS= read -r line; do
      [[ "$line" == [0-9]*T* ]] || continue
      [ "${line%% *}" = "$last" ] || printf '%s\n' "${label}${line#* }"
      last="${line%% *}"
    done < <(docker logs --follow --timestamps --since "$last" "$id" 2>&1)
    sleep 0.5
  done
}
