#!/usr/bin/env bash
# The packages in a fresh Debian tree, as root: tests/systemd/debootstrap_test.sh DEBS
# DEBS is the folder that scripts/package fills. The tree is made beside it and removed at the end. Shows that the packages' dependencies
# are complete, that they are installed and purged where no systemd runs, and that programs start with nothing else there.
# The last line is "N passed, N failed".
debs=$(realpath -- "${1:-.}") # before lib.sh goes to the root of the project
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

compgen -G "$debs/iris-server_*.deb" >/dev/null || die "needs the folder with the packages: scripts/package"
[ "$(id -u)" -eq 0 ] || die "needs root"
need_packages debootstrap

# The machine's own mirror and release.
# shellcheck disable=SC2016  # apt fills in what is in these quotes
read -r mirror suite < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 'Component: main' | grep -v -e -security -e -updates | head -n 1)
tree=$debs/../debootstrap-tree
clean_up() {
  mountpoint -q "$tree/proc" && umount "$tree/proc"
  rm -rf "$tree"
}
rm -rf "$tree"
trap clean_up EXIT
say "debootstrap of $suite"
debootstrap --variant=minbase "$suite" "$tree" "$mirror" >"$debs/../debootstrap.log" 2>&1 || die "debootstrap failed: $debs/../debootstrap.log"
rm -f "$tree/etc/apt/sources.list"
for file in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/resolv.conf; do
  [ ! -e "$file" ] || cp -rL "$file" "$tree/$(dirname "$file")"
done
mkdir "$tree/debs"
cp "$debs"/*.deb "$tree/debs"
mount -t proc proc "$tree/proc"

passed=0 failed=0
inside() { chroot "$tree" env DEBIAN_FRONTEND=noninteractive "$@"; }
# check WHAT COMMAND...
check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    say "ok: $what"
  else
    failed=$((failed + 1))
    say "FAILED: $what"
    say "$output"
  fi
}
gone() { ! inside test -e "$1"; }
starts_alone() {
  inside timeout -s TERM 3 iris -nostela -insecure -listen 127.0.0.1 -port 47900 -raftdir /tmp/raft 2>"$tree/log"
  grep -q '"this node leads"' "$tree/log" && grep -q '"stopped"' "$tree/log"
}

inside apt-get update -q >/dev/null
check "apt installs the packages and what they need" inside sh -c 'apt-get install -y --no-install-recommends /debs/*.deb'
check "the user iris is there" inside getent passwd iris
check "the programs say their versions" inside sh -c 'iris -version && iris-cli version && iris-bench -h'
check "a node starts and stops" starts_alone
check "a second configuration of the packages changes nothing" inside dpkg --configure -a
check "the unit is enabled" inside test -L /etc/systemd/system/multi-user.target.wants/iris.service
mkdir -p "$tree/var/lib/iris/raftDir"
check "a removal" inside apt-get remove -y iris-server iris-client libiris-client-dev
check "keeps the data" inside test -d /var/lib/iris/raftDir
check "a purge" inside dpkg --purge iris-server iris-client libiris-client1
for path in /var/lib/iris /etc/iris /etc/default/iris /usr/bin/iris /etc/systemd/system/multi-user.target.wants/iris.service; do
  check "leaves no $path" gone "$path"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
