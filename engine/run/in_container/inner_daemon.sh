#!/bin/sh
# Make the container what a daemon of containers expects, then be that daemon: "$@".
set -e

writable() {
    mount -o remount,bind,rw "$1" 2>/dev/null || mount -o remount,bind,rw none "$1"
}

# Docker mounts these read-only; gVisor has none that could be remounted, and needs none.
while read -r _ _ _ _ place options _; do
    case "$place,$options" in
        /sys/fs/cgroup*,ro,*|/sys/fs/cgroup*,ro) writable "$place" || : ;;
    esac
done < /proc/self/mountinfo
# Only the network's settings, which are the container's own; not those of the kernel.
if mount --bind /proc/sys/net /proc/sys/net 2>/dev/null || mount -o bind /proc/sys/net /proc/sys/net 2>/dev/null
then
    writable /proc/sys/net || :
fi

# cgroup v2 lets a group have limits only once no process is in it (moby/hack/dind).
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init || :
    while read -r process; do
        echo "$process" > /sys/fs/cgroup/init/cgroup.procs || :
    done < /sys/fs/cgroup/cgroup.procs 2>/dev/null || :
    sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control || :
fi

if [ "$1" = dockerd ]; then
    # Clients before 23 use BuildKit only when the daemon says that it has it.
    if [ ! -e /etc/docker/daemon.json ]; then
        mkdir -p /etc/docker
        echo '{"features": {"buildkit": true}}' > /etc/docker/daemon.json
    fi
    # The official image's: it finds out which iptables this kernel has.
    if command -v dockerd-entrypoint.sh > /dev/null; then
        set -- dockerd-entrypoint.sh "$@"
    fi
fi
exec "$@"
