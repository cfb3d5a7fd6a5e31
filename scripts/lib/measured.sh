# The section "## Measured" of a report in docs/, for the scripts that measure.

# Prints the system, the cores, the memory and the date.
machine() {
  local memory
  memory="$(awk '/^MemTotal:/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo 2>/dev/null || true)"
  printf '%s, %s cores, %s of memory, %s' "$(uname -sm)" "$(getconf _NPROCESSORS_ONLN)" "${memory:-?}" "$(date -u +%F)"
}

# replace_measured FILE COMMAND TEXT : replaces the section, which is the last one of the file.
replace_measured() {
  local draft="$CARGO_TARGET_DIR/measured.md"
  sed '/^## Measured/,$d' "$1" >"$draft"
  printf '## Measured\n\n%s; `%s`.\n\n%s\n' "$(machine)" "$2" "$3" >>"$draft"
  mv "$draft" "$1"
}
