#!/usr/bin/env bash
# The first program in the namespaces of the test bed: inside.sh FOLDER SHARE. Builds a root of its own over the machine's, which
# it only reads, and becomes systemd there. Run by bed.py, which makes the namespaces; never by hand.
set -euo pipefail
folder=$1 share=$2 root=$1/layers/root

mount --make-rprivate /
mount -t tmpfs layers "$folder/layers"
mkdir "$folder/layers/upper" "$folder/layers/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work" "$root"

# What a container's manager gives: /proc with settings that cannot be changed, /sys to read, cgroups of its own.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
while read -r name major minor; do
  mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done <<<$'null 1 3\nzero 1 5\nfull 1 7\nrandom 1 8\nurandom 1 9\ntty 5 0'
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# What the machine itself would start, and what only a machine has.
for unit in systemd-{remount-fs,random-seed,firstboot,timesyncd,networkd,resolved,logind,modules-load,sysctl,udevd,udev-trigger,hwdb-update}.service \
  systemd-udevd-{kernel,control}.socket dev-{hugepages,mqueue}.mount sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount \
  proc-sys-fs-binfmt_misc.automount getty.target; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
# Units of the machine that would start with it are not ours.
rm -rf "$root/etc/systemd/system/multi-user.target.wants" "$root/etc/systemd/system/sockets.target.wants"

mkdir -p "$root/share" "$root/machine"
mount --bind "$share" "$root/share"
cd "$root"
pivot_root . machine
umount -l /machine
# Credentials are mounted by a helper of systemd, in a namespace of its own, and shall be seen outside of it.
mount --make-rshared /
exec env -i container=iris-test-bed PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
  /lib/systemd/systemd --system --unit=basic.target --log-target=journal
