# shellcheck shell=bash
# Shared by all scripts: where things are, Debian packages, builds. Sourced, never run.
# Only bash and git are taken for granted; everything else is installed by need_packages.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# shellcheck disable=SC2034  # used by the scripts that source this file
build_packages=(
  g++ meson ninja-build pkg-config python3 openssl
  libasio-dev libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  librocksdb-dev libssl-dev libsystemd-dev libxxhash-dev nlohmann-json3-dev catch2
)
# shellcheck disable=SC2034
test_packages=(libbenchmark-dev python3-hpack systemd procps iproute2)
# shellcheck disable=SC2034
lint_packages=(clang-format clang-tidy shellcheck)

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$(basename "$0"): $*"
  exit 1
}

# The comment at the top of a script is its help.
print_help() { sed -n '2,${/^#/!q;/^# shellcheck/q;s/^# \{0,1\}//p}' "scripts/$(basename "$0")"; }
wrong_usage() {
  print_help >&2
  exit 2
}
# help_if_asked ARGUMENT...: arguments after -- are not the script's.
help_if_asked() {
  local argument
  for argument in "$@"; do
    case $argument in
      --) return 0 ;;
      -h | -help | --help) print_help && exit 0 ;;
    esac
  done
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

# need_packages NAME...: installs the missing ones, with sudo for users other than root.
need_packages() {
  command -v apt-get >/dev/null || die "needs Debian 12 or newer (no apt-get here); install by hand: $*"
  local missing as_root=() log
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "needs root or sudo to install: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    die "apt-get could not install: ${missing[*]} (its whole output: $log)"
  fi
  rm -f "$log"
}

# configure FOLDER [MESON OPTIONS]: sets a build folder up once; later calls cost nothing.
configure() {
  local folder=$1 log
  shift
  [ ! -f "$folder/build.ninja" ] || return 0
  say "configuring $folder"
  log=$(mktemp)
  if ! meson setup "$folder" --wrap-mode=nodownload "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "meson could not configure $folder (its whole output: $log)"
  fi
  rm -f "$log"
}

# build FOLDER [TARGETS]
build() {
  local folder=$1 quiet=()
  shift
  say "building $folder${*:+: $*}"
  [ -t 2 ] || quiet=(--quiet)
  ninja -C "$folder" "${quiet[@]}" "$@" >&2 || die "the build of $folder failed"
}

# await SECONDS WHAT COMMAND...: repeats COMMAND until it succeeds; fails with WHAT in the sentence.
await() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      say "gave up after ${seconds} s: $what"
      return 1
    fi
    sleep 0.1
  done
}
