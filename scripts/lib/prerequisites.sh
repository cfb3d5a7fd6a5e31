# Checks for the tools that the build and the servers need; installs missing ones with apt when run as root, otherwise
# prints the command to run. Sourced by common.sh.

need_build_tools() {
  has_rust || fail "Rust is missing. Install it with rustup (https://rustup.rs), then run this again."
  need_all has_compiler
}

# Java and Maven for a private Kafka, xz for the Postgres binaries.
need_servers() {
  need_all has_java has_maven has_xz
}

has_rust() {
  command -v cargo >/dev/null 2>&1 || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  export PATH
  command -v cargo >/dev/null 2>&1
}

has_compiler() {
  command -v cc >/dev/null 2>&1 && command -v make >/dev/null 2>&1 && printf 'int main(void){return 0;}' | cc -xc -o /dev/null - 2>/dev/null
}

has_openssl() {
  printf '#include <openssl/ssl.h>\nint main(void){return 0;}' | cc -xc -o /dev/null - 2>/dev/null && command -v pkg-config >/dev/null 2>&1
}

has_curl_headers() {
  printf '#include <curl/curl.h>\nint main(void){return 0;}' | cc -xc -o /dev/null - 2>/dev/null
}

has_openssl_tool() {
  command -v openssl >/dev/null 2>&1
}

has_maven() {
  command -v mvn >/dev/null 2>&1
}

has_xz() {
  command -v tar >/dev/null 2>&1 && { command -v xz >/dev/null 2>&1 || [ "$(uname -s)" = Darwin ]; }
}

# Kafka needs Java 17 or newer. The version comes from the program, not from its path; the order is that of
# crates/stack/src/java.rs.
has_java() {
  local java version
  for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" java; do
    [ -n "$java" ] || continue
    version="$(JAVA_TOOL_OPTIONS='' _JAVA_OPTIONS='' JDK_JAVA_OPTIONS='' "$java" -version 2>&1 | awk -F'"' '/version "/ { split($2, part, /[^0-9]+/); print part[1]; exit }')" || continue
    if [ "${version:-0}" -ge 17 ]; then
      return 0
    fi
  done
  return 1
}

# need_all CHECK... : runs these checks (functions above); installs the packages (functions below) of those that fail.
need_all() {
  local question missing=""
  for question in "$@"; do
    "$question" || missing="$missing $question"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    install_with_apt $missing
    for question in $missing; do
      "$question" || fail "$(describe "$question") is still missing after apt-get install; see above"
    done
  else
    say_what_to_install $missing
  fi
}

install_with_apt() {
  local question packages=""
  echo "installing with apt:$(for question in "$@"; do printf ' %s;' "$(describe "$question")"; done)" >&2
  apt-get update -qq >/dev/null || fail "apt-get update failed"
  for question in "$@"; do
    packages="$packages $(apt_package "$question")"
  done
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null || fail "apt-get install$packages failed"
  hash -r
}

describe() {
  case "$1" in
    has_compiler) echo "a C compiler and make" ;;
    has_java) echo "Java 17 or newer" ;;
    has_openssl) echo "OpenSSL's headers and pkg-config" ;;
    has_curl_headers) echo "libcurl's headers" ;;
    has_openssl_tool) echo "the program openssl" ;;
    has_maven) echo "Maven" ;;
    has_xz) echo "tar and xz" ;;
  esac
}

apt_package() {
  case "$1" in
    has_compiler) echo build-essential ;;
    has_java) apt_java ;;
    has_openssl) echo libssl-dev pkg-config ;;
    has_curl_headers) echo libcurl4-openssl-dev ;;
    has_openssl_tool) echo openssl ;;
    has_maven) echo maven ;;
    has_xz) echo tar xz-utils ;;
  esac
}

# Prints the package of the preferred Java version that this distribution has.
apt_java() {
  local version
  for version in 21 17 25; do
    # For a name that other packages only mention, apt-cache succeeds and prints nothing.
    if [ -n "$(apt-cache show "openjdk-$version-jre-headless" 2>/dev/null)" ]; then
      echo "openjdk-$version-jre-headless"
      return
    fi
  done
  echo default-jre-headless
}

dnf_package() {
  case "$1" in
    has_compiler) echo gcc gcc-c++ make ;;
    has_java) echo java-21-openjdk-headless ;;
    has_openssl) echo openssl-devel pkgconf-pkg-config ;;
    has_curl_headers) echo libcurl-devel ;;
    has_openssl_tool) echo openssl ;;
    has_maven) echo maven ;;
    has_xz) echo tar xz ;;
  esac
}

brew_package() {
  case "$1" in
    has_java) echo openjdk@21 ;;
    has_openssl) echo openssl@3 pkgconf ;;
    has_openssl_tool) echo openssl@3 ;;
    has_maven) echo maven ;;
    has_xz) echo xz ;;
  esac
}

say_what_to_install() {
  local question apt="" dnf="" brew=""
  for question in "$@"; do
    echo "missing: $(describe "$question")" >&2
    apt="$apt $(apt_package "$question" 2>/dev/null)"
    dnf="$dnf $(dnf_package "$question")"
    brew="$brew $(brew_package "$question")"
  done
  if command -v apt-get >/dev/null 2>&1; then
    fail "run: sudo apt-get update && sudo apt-get install -y$apt"
  elif command -v dnf >/dev/null 2>&1; then
    fail "run: sudo dnf install -y$dnf"
  elif [ "$(uname -s)" = Darwin ]; then
    say_what_to_install_on_macos "$brew" "$@"
  fi
  fail "install the missing tools with this system's package manager, then run this again"
}

say_what_to_install_on_macos() {
  local brew="$1"
  case " $* " in
    *" has_compiler "*) echo "run: xcode-select --install" >&2 ;;
  esac
  case "$brew" in
    *openjdk*) fail "run: brew install$brew && export JAVA_HOME=\"\$(brew --prefix openjdk@21)\"" ;;
    *[a-z]*) fail "run: brew install$brew" ;;
  esac
  exit 1
}
