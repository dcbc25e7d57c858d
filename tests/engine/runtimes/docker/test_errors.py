"""The daemon's own words, as Docker 20.10 and 28, runc and gVisor say them, and what becomes of them."""

from __future__ import annotations

import pytest

from engine.errors import ContainerFailed, ImageUnavailable, RuntimeUnavailable, SandboxUnavailable
from engine.runtimes.docker.errors import explain

RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: "
GVISOR = "OCI runtime start failed: starting container: starting root container: starting sandbox: "
ROOT_NETNS = (
    "OCI runtime start failed: starting container: starting root container: urpc method "
    '"containerManager.StartRoot" failed: cannot run with network enabled in root network namespace: unknown'
)


FAILED, SANDBOX = ContainerFailed, SandboxUnavailable
NO_POOL = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign"
NAME_TAKEN = 'Conflict. The container name "/moat-run_1" is already in use by container "abc".'
NO_COMMAND = 'unable to start container process: exec: "nope": executable file not found in $PATH: unknown'
NO_COMMAND_GVISOR = (
    'error finding executable "nope" in PATH [/usr/bin /bin]: no such file or directory: unknown'
)
NOT_EXECUTABLE = 'unable to start container process: exec: "/etc/passwd": permission denied: unknown'
NOT_EXECUTABLE_GVISOR = "creating process: failed to load /etc/passwd: permission denied: unknown"
NO_SOURCE = 'invalid mount config for type "bind": bind source path does not exist: /no where'
NO_RUNSC = 'failed to start shim: exec: "runsc": executable file not found in $PATH'
TWO_CPUS = "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
OOM = "container init was OOM-killed (memory limit too low?)"


@pytest.mark.parametrize(
    ("said", "kind", "what", "remedy"),
    [
        (RUNC + NO_COMMAND, FAILED, "the command nope does not exist", "spelling"),
        (GVISOR + NO_COMMAND_GVISOR, FAILED, "the command nope does not exist", "spelling"),
        (RUNC + NOT_EXECUTABLE, FAILED, "/etc/passwd cannot be executed", "chmod"),
        (GVISOR + NOT_EXECUTABLE_GVISOR, FAILED, "/etc/passwd cannot be executed", "chmod"),
        ("unable to find user redis: no matching entries in passwd file", FAILED, "no user redis", "has it"),
        ("No command specified", FAILED, "no command of its own", "after --"),
        (RUNC + "exec /bin/sh: exec format error", FAILED, "another processor", "architecture"),
        (ROOT_NETNS, SANDBOX, "gVisor could not start", "moat doctor --fix"),
        ("Unknown runtime specified runsc", SANDBOX, "gVisor is required", "--no-sandbox"),
        ("unknown or invalid runtime name: runsc", SANDBOX, "gVisor is required", "--no-sandbox"),
        (NO_RUNSC, SANDBOX, "gVisor is required", "--no-sandbox"),
        (NO_SOURCE, FAILED, "does not exist for Docker: /no where", "Create it"),
        ("Duplicate mount point: /workspace", FAILED, "one of the mounts", "agent.yaml"),
        (NAME_TAKEN, FAILED, "moat-run_1 exists already", "moat clean"),
        ("network with name moat-run_1 already exists", FAILED, "moat-run_1 exists already", "moat clean"),
        (NO_POOL, FAILED, "no address range left", "moat clean"),
        ("all predefined address pools have been fully subnetted", FAILED, "no address range", "moat clean"),
        ("mkdir /var/lib/docker/x: no space left on device", FAILED, "full: could not do it", "Free"),
        ("Minimum memory limit allowed is 6MB", FAILED, "at least 6MB", "container.memory"),
        (TWO_CPUS, FAILED, "machine has 2.00", "cpus"),
        (RUNC + OOM, FAILED, "not enough memory", "memory"),
        ("Cannot mkdir: /etc/passwd is not a directory", FAILED, "directory /etc/passwd", "image"),
        ("network moat-run_1 not found", FAILED, "network is gone", "again"),
        ("No such container: abc", FAILED, "container is gone", "again"),
        ("something nobody has seen", FAILED, "could not do it", "moat doctor"),
    ],
)
def test_what_the_daemon_says(said, kind, what, remedy) -> None:
    error = explain("do it", 500, said)
    assert type(error) is kind
    assert what in error.what
    assert remedy in error.remedy
    assert len(error.lines()) <= 3


def test_an_unknown_runtime_of_another_name_is_not_gvisors_fault() -> None:
    assert type(explain("start", 400, "Unknown runtime specified kata")) is ContainerFailed


def test_a_broken_connection_is_the_daemons() -> None:
    error = explain("start the container", 900, "Cannot connect to Docker Engine via unix://x [gone]")
    assert isinstance(error, RuntimeUnavailable)
    assert "moat doctor --fix" in error.remedy


@pytest.mark.parametrize(
    ("image", "remedy"),
    [("debian:bookworm-slim", "moat doctor --fix"), ("acme/agent:1", "docker pull acme/agent:1")],
)
def test_a_missing_image_is_named_with_its_own_remedy(image, remedy) -> None:
    error = explain("create", 404, f"No such image: {image}", image=image)
    assert isinstance(error, ImageUnavailable)
    assert image in error.what
    assert remedy in error.remedy


def test_the_reason_is_shown_without_the_pile_in_front_of_it() -> None:
    error = explain("start the container", 500, RUNC + "something odd: unknown")
    assert error.detail == "something odd"
