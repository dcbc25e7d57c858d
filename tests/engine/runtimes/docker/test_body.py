"""The isolation promises, read off the request that makes the container."""

from __future__ import annotations

import os

import msgspec
import pytest

from engine.errors import UsageError
from engine.runtimes import Bind, ContainerSpec, Network
from engine.runtimes.docker.body import (
    DAEMON_CAPABILITIES,
    ROOT_CAPABILITIES,
    container_body,
    refuse_engine_socket,
)

OPEN = Network("moat-run_1", "n1", "172.18.0.1", "172.18.0.0/16", False)
STRICT = msgspec.structs.replace(OPEN, internal=True)
SPEC = ContainerSpec(
    run_id="run_1", home_label="h", name="moat-run_1", image="img", network=OPEN, user="1000:1000"
)


def body(**changes) -> dict:
    return container_body(msgspec.structs.replace(SPEC, **changes))


def host(**changes) -> dict:
    return body(**changes)["HostConfig"]


def test_nothing_is_privileged_and_nothing_can_become_so() -> None:
    config = host()
    assert config["Privileged"] is False
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    assert config["PidsLimit"] == 4096
    assert config["IpcMode"] == "private"
    assert not {"Devices", "PidMode", "UTSMode", "UsernsMode", "Binds", "VolumesFrom"} & config.keys()


@pytest.mark.parametrize(
    ("user", "added"),
    [("1000:1000", []), ("0:0", list(ROOT_CAPABILITIES)), ("", list(ROOT_CAPABILITIES)), ("00:5", [])],
)
def test_only_root_gets_capabilities_back(user, added) -> None:
    assert host(user=user)["CapAdd"] == added


def test_no_capability_reaches_beyond_the_container() -> None:
    forbidden = {"NET_RAW", "NET_ADMIN", "MKNOD", "AUDIT_WRITE", "SETFCAP", "SETPCAP", "SYS_CHROOT", "BPF"}
    assert not forbidden & set(ROOT_CAPABILITIES)
    assert not [name for name in ROOT_CAPABILITIES if name.startswith("SYS_")]


def test_docker_keeps_nothing_of_the_output_and_never_restarts_or_removes() -> None:
    config = host()
    assert config["LogConfig"]["Type"] == "none"
    assert config["RestartPolicy"] == {"Name": "no"}
    assert config["AutoRemove"] is False
    assert config["Init"] is True


def test_the_sandbox_picks_the_oci_runtime() -> None:
    assert host(sandbox="gvisor")["Runtime"] == "runsc"
    assert "Runtime" not in host(sandbox="standard")


def test_strict_resolves_nothing_whatever_was_asked() -> None:
    assert host(network=STRICT, dns=("1.1.1.1",))["Dns"] == ["127.0.0.1"]
    assert host(network=OPEN, dns=("1.1.1.1", "9.9.9.9"))["Dns"] == ["1.1.1.1", "9.9.9.9"]
    assert "Dns" not in host(network=OPEN)


def test_mounts_take_any_path_and_say_who_may_write() -> None:
    binds = (Bind("/src:odd", "/workspace"), Bind("/data", "/data", read_only=True))
    mounts = host(binds=binds)["Mounts"]
    assert [(m["Type"], m["Source"], m["Target"], m["ReadOnly"]) for m in mounts] == [
        ("bind", "/src:odd", "/workspace", False),
        ("bind", "/data", "/data", True),
    ]


def test_labels_of_the_run_cannot_be_replaced() -> None:
    labels = body(labels={"moat.run": "other", "mine": "x"})["Labels"]
    assert labels == {"moat.run": "run_1", "moat.home": "h", "mine": "x"}


def test_limits() -> None:
    config = host(memory_mb=512, cpus=1.5, pids_limit=64)
    assert config["Memory"] == config["MemorySwap"] == 512 * 1024 * 1024
    assert config["NanoCpus"] == 1_500_000_000
    assert config["PidsLimit"] == 64
    assert not {"Memory", "MemorySwap", "NanoCpus"} & host().keys()


def test_command_user_and_input_are_the_images_unless_given() -> None:
    plain = body(user="")
    assert not {"Cmd", "User"} & plain.keys()
    assert plain["OpenStdin"] is plain["AttachStdin"] is plain["Tty"] is False
    asked = body(command=("a", "b c"), interactive=True, tty=True, env={"A": "1=2"})
    assert asked["Cmd"] == ["a", "b c"]
    assert asked["User"] == "1000:1000"
    assert asked["OpenStdin"] is asked["StdinOnce"] is asked["AttachStdin"] is asked["Tty"] is True
    assert asked["Env"] == ["A=1=2"]
    assert asked["StopSignal"] == "SIGTERM"


def test_the_engines_socket_is_refused_directly_above_and_behind_a_link(tmp_path) -> None:
    socket = tmp_path / "run" / "docker.sock"
    socket.parent.mkdir()
    socket.touch()
    os.symlink(socket, tmp_path / "innocent")
    for source in (socket, socket.parent, tmp_path, tmp_path / "innocent", "/"):
        with pytest.raises(UsageError, match="Docker socket"):
            refuse_engine_socket((Bind(str(source), "/x", read_only=True),), (str(socket),))
    beside = tmp_path / "run-of-mine"
    beside.mkdir()
    refuse_engine_socket((Bind(str(beside), "/x"),), (str(socket),))


def test_an_address_of_its_own_is_asked_for_on_the_runs_network() -> None:
    asked = body(address="192.168.250.29")["NetworkingConfig"]["EndpointsConfig"]
    assert asked == {"moat-run_1": {"IPAMConfig": {"IPv4Address": "192.168.250.29"}}}
    assert "NetworkingConfig" not in body()


def test_without_the_images_entrypoint_the_command_is_all_that_runs() -> None:
    made = body(command=("/bin/sh", "-s"), entrypoint=False)
    assert (made["Entrypoint"], made["Cmd"]) == (["/bin/sh"], ["-s"])
    assert "Entrypoint" not in body(command=("x",))


def test_files_in_memory_can_be_put_there_by_any_user() -> None:
    assert host(memory_files="/moat/ca")["Tmpfs"] == {"/moat/ca": "mode=1777"}
    assert "Tmpfs" not in host()


def test_only_for_a_daemon_of_containers_is_there_more_and_it_is_less_than_privileged() -> None:
    plain = host(sandbox="standard")
    daemon = host(sandbox="standard", inner_daemon="/var/lib/docker", user="0:0")
    assert {name for name in daemon if daemon[name] != plain.get(name)} == {
        "CapAdd", "SecurityOpt", "Mounts", "Sysctls",
    }  # fmt: skip
    assert daemon["Privileged"] is False
    assert daemon["CapDrop"] == ["ALL"]
    assert daemon["CapAdd"] == list(DAEMON_CAPABILITIES)
    assert {"SYS_ADMIN", "NET_ADMIN"} <= set(DAEMON_CAPABILITIES)
    kernel = {"SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "SYS_PTRACE", "BPF", "SYSLOG", "MAC_ADMIN"}
    assert not kernel & set(DAEMON_CAPABILITIES)
    assert daemon["SecurityOpt"] == ["seccomp=unconfined", "apparmor=unconfined", "label=disable"]
    assert daemon["Sysctls"] == {"net.ipv4.ip_forward": "1"}


def test_layers_are_kept_where_they_can_be_stacked_and_go_with_the_container() -> None:
    standard = host(inner_daemon="/var/lib/docker", sandbox="standard")
    assert standard["Mounts"] == [{"Type": "volume", "Target": "/var/lib/docker"}]  # no name: nobody else's
    assert "Tmpfs" not in standard
    gvisor = host(inner_daemon="/var/lib/docker", sandbox="gvisor")
    assert gvisor["Mounts"] == []
    assert gvisor["Tmpfs"] == {"/var/lib/docker": "exec"}
    assert gvisor["Runtime"] == "runsc"
    assert "Sysctls" not in gvisor
    assert "Tmpfs" not in host()


def test_the_engines_socket_is_shown_only_where_the_run_was_given_it() -> None:
    config = host(engine_socket="/run/user/1000/docker.sock", groups=(998,))
    (mount,) = config["Mounts"]
    assert (mount["Source"], mount["Target"]) == ("/run/user/1000/docker.sock", "/var/run/docker.sock")
    assert config["GroupAdd"] == ["998"]
    assert config["CapAdd"] == []
    assert "GroupAdd" not in host()
    assert host()["Mounts"] == []
