"""A ContainerSpec as the body of `POST /containers/create`: every isolation setting, in one place.

Pure, so that the promises (no capability that reaches the host, no privilege gained, no Docker socket,
nothing of the agent's output kept by Docker) are tested without a daemon.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

from engine.errors import UsageError
from engine.runtimes.sandbox import GVISOR_RUNTIME, KEPT_GVISOR_RUNTIME
from engine.runtimes.spec import HOME_LABEL, RUN_LABEL, Bind, ContainerSpec

# What root needs inside its own container to install packages and change owners. Not NET_RAW (forged
# packets), NET_ADMIN (the routes and rules of its network), MKNOD, AUDIT_WRITE, SETFCAP, SYS_CHROOT,
# SETPCAP, which Docker would give by default; ports below 1024 need no capability in a container.
ROOT_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID")

# For a daemon that runs containers of its own: to mount and to make namespaces, to make their network, and
# what Docker gives a container by default, because nobody can pass on what they have not. All the same it is
# less than `Privileged`, which would add this machine's devices and modules of its kernel.
DAEMON_CAPABILITIES = (
    *ROOT_CAPABILITIES, "SYS_ADMIN", "NET_ADMIN",
    "AUDIT_WRITE", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT",
)  # fmt: skip

ENGINE_SOCKET = "/var/run/docker.sock"  # where clients look for it

# In strict the container's resolver must have nowhere to ask. With an upstream named here, Docker asks
# it from inside the container's own network (where nothing listens and the query is refused at once);
# with none named it would ask the host's, and before 26.0 from the host's network (CVE-2024-29018).
NO_RESOLVER = "127.0.0.1"


def container_body(spec: ContainerSpec) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": {**spec.labels, RUN_LABEL: spec.run_id, HOME_LABEL: spec.home_label},
        "Tty": spec.tty,
        "OpenStdin": spec.interactive,
        "StdinOnce": spec.interactive,  # the agent reads end-of-file once its person has gone
        "AttachStdin": spec.interactive,
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGTERM",  # whatever the image prefers: `moat stop` promises TERM
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec),
    }
    if spec.address:
        endpoint = {"IPAMConfig": {"IPv4Address": spec.address}}
        body["NetworkingConfig"] = {"EndpointsConfig": {spec.network.name: endpoint}}
    if spec.workdir:
        body["WorkingDir"] = spec.workdir
    if spec.user:
        body["User"] = spec.user
    if spec.command and spec.entrypoint:
        body["Cmd"] = list(spec.command)
    elif spec.command:
        body["Entrypoint"], body["Cmd"] = list(spec.command[:1]), list(spec.command[1:])
    return body


def kept_body(body: dict[str, Any], runtimes: Collection[str]) -> dict[str, Any]:
    """A container's body for one that an image will be made of.

    Where it was to be under gVisor, and gVisor is not registered so that it keeps what is written, by runc,
    whatever the engine's default is.
    """
    host = {**body["HostConfig"], "Init": False}  # whose program would stay as an empty file
    if host.pop("Runtime", "") == GVISOR_RUNTIME and KEPT_GVISOR_RUNTIME in runtimes:
        host["Runtime"] = KEPT_GVISOR_RUNTIME
    elif "runc" in runtimes:
        host["Runtime"] = "runc"
    kept = {name: value for name, value in body.items() if name not in ("Healthcheck", "StopSignal")}
    return {**kept, "HostConfig": host}


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": spec.network.name,
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.extra_hosts.items()],
        "Mounts": [*map(_mount, spec.binds), *_volumes(spec)],
        **_privileges(spec),
        "PidsLimit": spec.pids_limit,
        # Process 1 ignores every signal it has no handler for, TERM too, and must reap orphans. A small
        # init in its place forwards signals to the agent and ends with the agent's exit code.
        "Init": True,
        "IpcMode": "private",
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,  # the supervisor removes it, after it has read how it ended
        "LogConfig": {"Type": "none", "Config": {}},  # the run's own files are the only copy
    }
    if spec.sandbox == "gvisor":
        config["Runtime"] = GVISOR_RUNTIME
    if spec.network.internal:
        config["Dns"] = [NO_RESOLVER]
        config["DnsOptions"] = ["timeout:1", "attempts:1"]
    elif spec.dns:
        config["Dns"] = list(spec.dns)
    if spec.memory_files:
        # For any user, as /tmp: Podman takes no owner.
        config.setdefault("Tmpfs", {})[spec.memory_files] = "mode=1777"
    if spec.groups:
        config["GroupAdd"] = [str(group) for group in spec.groups]
    if spec.engine_socket:
        config["Mounts"].append(_mount(Bind(spec.engine_socket, ENGINE_SOCKET)))
    if spec.memory_mb is not None:
        config["Memory"] = config["MemorySwap"] = spec.memory_mb * 1024 * 1024  # equal: no swap on top
    if spec.cpus is not None:
        config["NanoCpus"] = round(spec.cpus * 1_000_000_000)
    return config


def _privileges(spec: ContainerSpec) -> dict[str, Any]:
    if not spec.inner_daemon:
        return {
            "Privileged": False,
            "CapDrop": ["ALL"],
            "CapAdd": list(ROOT_CAPABILITIES) if runs_as_root(spec.user) else [],
            "SecurityOpt": ["no-new-privileges:true"],
        }
    given: dict[str, Any] = {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(DAEMON_CAPABILITIES),
        # Docker's filter denies the key rings that runc makes, its AppArmor profile every mount. The inner
        # daemon puts a filter around each of its own containers.
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
    }
    if spec.sandbox == "gvisor":
        # It stacks layers on memory alone, and Docker's own options would make them unexecutable.
        return given | {"Tmpfs": {spec.inner_daemon: "exec"}}
    return given | {"Sysctls": {"net.ipv4.ip_forward": "1"}}


def _mount(bind: Bind) -> dict[str, Any]:
    """As a mount and not as a "bind" string: paths may hold colons, and a missing source is an error."""
    return {
        "Type": "bind",
        "Source": bind.source,
        "Target": bind.target,
        "ReadOnly": bind.read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }


def _volumes(spec: ContainerSpec) -> list[dict[str, Any]]:
    """Layers cannot be stacked on layers. A volume without a name is removed with its container."""
    if not spec.inner_daemon or spec.sandbox == "gvisor":
        return []
    return [{"Type": "volume", "Target": spec.inner_daemon}]


def runs_as_root(user: str) -> bool:
    """True for "" too: the image decides, and a user it names other than root gains nothing by the set."""
    return user.partition(":")[0] in ("", "0", "root")


def refuse_engine_socket(binds: tuple[Bind, ...], sockets: Iterable[str]) -> None:
    """Raise UsageError when a bind would show one of the engine's sockets: it is root on this machine.

    A directory above a socket shows it as well, read-only or not.
    """
    real = [os.path.realpath(path) for path in sockets]
    for bind in binds:
        source = os.path.realpath(bind.source)
        for path in real:
            if path == source or os.path.commonpath((path, source)) == source:
                raise UsageError(
                    f"the mount {bind.source} would give the agent the Docker socket {path}",
                    detail="Whoever can use that socket is root on this machine.",
                    remedy="Mount a directory that does not contain it.",
                )
