#!/bin/bash
# podman-archives.sh ROOT WORK: in namespaces of its own, makes ROOT (an unpacked podman) the root file system, runs a shell that counts, and leaves its checkpoints in WORK.
# WORK has busybox. CRIU does not dump below a plain chroot: the root is changed for good.
set -e
root=$1 work=$2
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root"/{proc,sys,dev,tmp,run,etc/containers,etc/criu,old,var/tmp,root,work,bb}
for folder in bin sbin lib lib64; do [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"; done
mount -t tmpfs tmpfs "$root/etc"
mkdir -p "$root"/etc/{containers,criu}
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
umount -R "$root/sys/fs/cgroup" 2>/dev/null || true
# crun refuses a mixture of both versions of control groups.
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/bb"
mount --bind "$work" "$root/work"
cd "$root"
pivot_root . old
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/bb HOME=/root TMPDIR=/tmp
for tool in sh umount ls mkdir ln cp cat sleep ip; do [ -e "/usr/bin/$tool" ] || /work/busybox ln -sf /work/busybox "/bb/$tool"; done
[ -e /usr/bin/sh ] || /work/busybox ln -s bash /usr/bin/sh
/work/busybox umount -l /old
/work/busybox ip link set lo up
echo 'network-lock nftables' > /etc/criu/crun.conf
echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
printf '[engine]\ncgroup_manager="cgroupfs"\nruntime="crun"\nevents_logger="none"\n[containers]\nnetns="none"\nlog_driver="k8s-file"\npids_limit=0\n' > /etc/containers/containers.conf
printf '[storage]\ndriver="vfs"\nrunroot="/run/containers"\ngraphroot="/work/storage"\n' > /etc/containers/storage.conf
echo root:x:0:0::/root:/bin/sh > /etc/passwd
echo root:x:0: > /etc/group
/work/busybox mkdir -p /tmp/image/bin
/work/busybox cp /work/busybox /tmp/image/bin/busybox
for tool in sh sleep; do /work/busybox ln -sf busybox "/tmp/image/bin/$tool"; done
tar -C /tmp/image -c . | podman import - localhost/busybox:1
podman run -d --name counter localhost/busybox:1 /bin/sh -c 'i=0; while true; do i=$((i+1)); echo $i; sleep 1; done'
podman container checkpoint --leave-running -e /work/zstd.tar.zst counter
podman container checkpoint --leave-running --compress=gzip -e /work/gzip.tar.gz counter
podman container checkpoint --compress=none -e /work/none.tar counter
podman rm -f counter
/work/busybox rmdir /sys/fs/cgroup/libpod_parent 2>/dev/null || true
