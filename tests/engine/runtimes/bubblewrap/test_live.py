"""Real sandboxes: what is in them, what is not, and how they end."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from engine.errors import ContainerFailed, UsageError
from engine.runtimes import Bind, ExecSpec, PlacedFile, Wanted
from engine.runtimes.bubblewrap.processes import end_marked

pytestmark = pytest.mark.bubblewrap

# Tries each call by its number, in a process of its own, and prints its name and errno.
CALLS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for word in sys.argv[1:]:
    name, number, *arguments = word.split(",")
    ctypes.set_errno(0)
    libc.syscall(int(number), *map(int, arguments), *[0] * (6 - len(arguments)))
    print(name, ctypes.get_errno())
"""


async def test_a_sandbox_has_namespaces_of_its_own(lab):
    kinds = ("user", "mnt", "pid", "ipc", "uts", "net")
    done = await lab.sh(f"for kind in {' '.join(kinds)}; do readlink /proc/self/ns/$kind; done")
    inside = done.text.split()
    assert len(inside) == len(kinds)
    assert not {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds} & set(inside)


async def test_nothing_of_the_supervisors_is_open_in_it(lab):
    done = await lab.sh("for p in 1 self; do ls -l /proc/$p/fd; done")
    leads = re.findall(r" (\d+) -> (\S+)", done.text)
    assert [
        lead for _, lead in leads if not lead.startswith(("pipe:", "/proc/", "anon_inode:[eventfd]"))
    ] == []
    assert done.text.count("eventfd") == 1  # bubblewrap's own word to the process that waits for its agent


async def test_no_capability_no_new_privilege_two_filters(lab):
    done = await lab.sh("grep -E '^(Cap|NoNew|Seccomp_f)' /proc/self/status")
    said = dict(line.split(":\t") for line in done.text.splitlines())
    assert {name: int(value, 16) for name, value in said.items()} == {
        "CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1,
        "Seccomp_filters": 2,
    }  # fmt: skip


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
async def test_the_kernel_denies_what_the_filter_says(lab):
    calls = ("keyctl,250,0", "add_key,248", "bpf,321", "perf_event_open,298", "userfaultfd,323", "mount,165",
             "unshare,272,268435456", "kexec_load,246", "open_by_handle_at,304", "setns,308", "clone3,435",
             "io_uring_setup,425,1", "process_vm_writev,311", "clone,56,268435473", "vsock,41,40,1,0",
             "packet,41,17,3,0", "audit,41,16,3,9", "new,600")  # fmt: skip
    done = await lab.run("python3", "-c", CALLS, *calls)
    said = dict(line.split() for line in done.text.splitlines())
    assert said.pop("clone3") == said.pop("new") == "38"  # ENOSYS
    assert {said.pop(name) for name in ("vsock", "packet", "audit")} == {"97"}  # EAFNOSUPPORT
    assert set(said.values()) == {"1"}, said
    killed = await lab.run("python3", "-c", CALLS, f"x32,{0x40000000 | 39}")
    assert killed.code == 128 + signal.SIGSYS


async def test_there_is_only_loopback_and_what_is_bound_from_outside_works(lab):
    network = await lab.network()
    listener, names = await lab.runtime.bind(network, [Wanted("tcp", 443), Wanted("udp", 53)])
    listener.setblocking(True)
    port = listener.getsockname()[1]
    script = "cat /proc/net/route /proc/net/dev; exec 3<>/dev/tcp/127.0.0.1/443; echo hello >&3; cat <&3"
    running = asyncio.ensure_future(lab.run("bash", "-c", script, network=network))
    client, _ = await asyncio.to_thread(listener.accept)
    with client, listener, names:
        assert client.recv(100) == b"hello\n"
        client.sendall(b"from outside\n")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 5).close()
    done = await running
    assert done.text.endswith("from outside\n")
    assert re.findall(r"^\s*(\w+):", done.text, re.MULTILINE) == ["lo"]
    assert len(done.text.split("Inter-|")[0].splitlines()) == 1  # the head of an empty routing table
    taken = await lab.network()
    (first,) = await lab.runtime.bind(taken, [Wanted("tcp", 80)])
    with first, pytest.raises(OSError, match="in use"):
        await lab.runtime.bind(taken, [Wanted("tcp", 80)])


async def test_dialling_into_it_reaches_what_listens_there_and_nothing_of_this_machine(lab):
    network = await lab.runtime.create_network("run_in", "home", True)
    (inside,) = await lab.runtime.bind(network, [Wanted("tcp", 4000)])
    with (
        inside,
        socket.create_server(("127.0.0.1", 0)) as here,
        socket.create_server(("::1", here.getsockname()[1]), family=socket.AF_INET6),
    ):
        with await lab.runtime.dial(network, "127.0.0.1", 4000) as sock:
            peer, _ = await asyncio.get_running_loop().sock_accept(inside)
            assert peer.getpeername() == sock.getsockname()
            peer.close()
        with pytest.raises(ConnectionRefusedError):
            await lab.runtime.dial(network, *here.getsockname())


async def test_homes_sockets_and_the_kernels_settings_are_not_there(lab, tmp_path):
    (tmp_path / "secret").write_text("s")
    places = (str(tmp_path / "secret"), "/etc/shadow", "/etc/ssh/sshd_config", "/root/.bashrc", "/var/lib",
              "/var/run", "/opt",
              "/run/docker.sock", "/sys/kernel", "/sys/fs", "/mnt")  # fmt: skip
    done = await lab.sh(f"ls -d {' '.join(places)}; ls /home; ls -A /run /root 2>/dev/null")
    assert [place for place in places if place in done.text] == []
    wrote = await lab.sh(
        "for f in /usr/x /etc/x /x /moat/x /proc/sys/kernel/hostname /proc/sysrq-trigger"
        " /proc/self/oom_score_adj; do echo 1 2>/dev/null >$f && echo $f; done; "
        " for d in /tmp /var/tmp /dev/shm $HOME /workspace; do"
        " echo ok >$d/x && cat $d/x; done; cat /proc/kcore /proc/keys"
    )
    assert wrote.text == "ok\n" * 5
    assert (lab.workspace / "x").stat().st_uid == os.getuid()


async def test_device_nodes_are_not_this_machines(lab):
    before = os.stat("/dev/null").st_mode
    await lab.sh("chmod 600 /dev/null /dev/zero; chmod 600 /dev/stdin <&0")
    assert os.stat("/dev/null").st_mode == before


async def test_files_links_and_directories_are_put_where_the_system_has_others(lab):
    files = (
        PlacedFile("/moat/own/tool", b"#!/bin/sh\necho tool\n", mode=0o755),
        PlacedFile("/etc/ssl/certs/ca-certificates.crt", link="/moat/own/tool"),
        PlacedFile("/bin/moat-was-here", b"new\n"),
        PlacedFile("/run/moat/open", directory=True, mode=0o1777),
    )
    target = lab.workspace.parent / "data"
    target.mkdir()
    done = await lab.sh(
        "/moat/own/tool; head -1 /etc/ssl/certs/ca-certificates.crt; cat /usr/bin/moat-was-here;"
        " touch /run/moat/open/x;"
        " touch /usr/local/share/data/x; touch /moat/own/x; ls /etc/ssl/certs | wc -l",
        files=files, binds=(Bind(str(target), "/usr/local/share/data"),),
    )  # fmt: skip
    *said, certificates = done.text.splitlines()
    assert said == ["tool", "#!/bin/sh", "new"]
    assert int(certificates) >= len(os.listdir("/etc/ssl/certs"))
    assert (target / "x").exists()
    assert b"/moat/own/x" in done.stderr


async def test_a_mount_that_was_replaced_by_a_link_is_refused(lab, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "other")
    with pytest.raises(UsageError, match="replaced by a symbolic link"):
        await lab.run("true", binds=(Bind(str(tmp_path / "data"), "/data"),))


async def test_a_link_that_an_agent_left_leads_no_mount_to_this_machine(lab, tmp_path):
    """The place of a mount is made where it is not there, by a process that still sees this machine."""
    for name in ("data", "mine"):
        (tmp_path / name).mkdir()
    (lab.workspace / "x").symlink_to(f"/oldroot{tmp_path / 'mine'}")
    with pytest.raises(UsageError, match="lies in the mount"):
        await lab.run("true", binds=(Bind(str(tmp_path / "data"), "/workspace/x/y"),))
    assert not list((tmp_path / "mine").iterdir())


async def test_limits_hold(lab):
    cpus = len(os.sched_getaffinity(0))
    done = await lab.run(
        "bash", "-c", "ulimit -u; ulimit -d; ulimit -c; nproc", memory_mb=256, cpus=0.5, pids_limit=77
    )
    assert done.text.split() == ["77", str(256 * 1024), "0", "1"]
    greedy = await lab.run("python3", "-c", "bytearray(400 << 20)", memory_mb=256)
    assert b"MemoryError" in greedy.stderr
    assert (await lab.sh("nproc")).text.split() == [str(cpus)]


async def test_a_directory_tree_in_place_of_this_machines_system(lab, tmp_path):
    tree = tmp_path / "tree"
    _copy_with_libraries(tree, shutil.which("dash") or "/bin/sh", "bin/sh")
    (tree / "only-here").write_text("only here\n")
    (tree / "home" / "somebody").mkdir(parents=True)
    done = await lab.sh(
        "read -r line </only-here; echo $line; echo /*; echo /home/*; read -r u </etc/passwd; echo $u; : >/x",
        rootfs=str(tree),
    )
    line, top, homes, users = done.text.splitlines()
    assert line == "only here"
    assert "/usr" not in top.split() or (tree / "usr").exists()
    assert {"/bin", "/proc", "/dev", "/tmp", "/workspace"} <= set(top.split())
    assert "somebody" not in homes
    assert re.match(r"(root|moat):x:", users)
    assert done.code != 0
    assert not (tree / "x").exists()
    assert not (tree / "workspace").exists()
    assert not (tree / "moat").exists()


def _copy_with_libraries(tree: Path, program: str, target: str) -> None:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+)", listed):
        (tree / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, tree / library[1:])
    (tree / target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, tree / target)


async def test_a_command_that_is_not_there_is_said(lab):
    with pytest.raises(ContainerFailed, match="nosuch: No such file"):
        await lab.run("nosuch")


@pytest.mark.parametrize(("end", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
async def test_the_exit_code_is_the_agents_and_what_it_left_behind_ends(lab, end, code):
    done = await lab.sh(f"sleep 1000 & {end}")
    assert done.code == code


async def test_stop_asks_and_kill_does_not(lab):
    polite = await lab.create("sh", "-c", "trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done")
    stubborn = await lab.create("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
    for container in (polite, stubborn):
        await container.start()
        async for _ in await container.attach():
            break
    await polite.stop()
    assert await polite.wait() == 4
    await stubborn.stop(0.1)
    assert await stubborn.wait() == 137


async def test_a_command_beside_the_agent_is_in_all_of_the_sandbox(lab):
    container = await lab.create(
        "sh", "-c", "echo here >/tmp/mark; echo up; sleep 1000", env={"NAME": "value"}
    )
    await container.start()
    async for _ in await container.attach():
        break
    script = (
        "cat /tmp/mark; echo $NAME $PWD; readlink /proc/self/ns/* | sort | md5sum;"
        " readlink /proc/2/ns/* | sort | md5sum; "
        " grep -E '^(CapBnd|CapEff|Seccomp_f|NoNew)' /proc/self/status;"
        " ls -l /proc/self/fd; unshare -U true; exit 6"
    )
    beside = await container.exec(ExecSpec(command=("sh", "-c", script), mark="MARK=1"))
    said = {"stdout": b"", "stderr": b""}
    async for stream, data in beside:
        said[stream] += data
    assert await beside.wait() == 6
    lines = said["stdout"].decode().splitlines()
    assert lines[:2] == ["here", "value /workspace"]
    assert lines[2] == lines[3]
    assert [int(line.split()[1], 16) for line in lines[4:8]] == [0, 0, 1, 2]
    assert [
        lead for line in lines[9:] if not (lead := line.split()[-1]).startswith(("pipe:", "/proc/"))
    ] == []
    assert b"not permitted" in said["stderr"]
    missing = await container.exec(ExecSpec(command=("nosuch",), mark="MARK=2"))
    assert [stream async for stream, _ in missing] == ["stderr"]
    assert await missing.wait() == 127
    asleep = await container.exec(ExecSpec(command=("sh", "-c", "echo up; sleep 1000"), mark="MARK=3"))
    async for _ in asleep:
        break
    await asleep.signal("TERM")
    assert await asleep.wait() == 143
    await container.remove()


@pytest.mark.parametrize("setting_up", [True, False])
async def test_when_the_keeper_is_killed_the_sandbox_is_gone(lab, setting_up):
    container = await lab.create("sh", "-c", "echo up; sleep 1000", env={"MOAT_RUN_ID": "run_killed"})
    await container.start()
    if not setting_up:
        async for _ in await container.attach():
            break
    (link,) = lab.runtime._links.values()
    os.kill(link._process.pid, signal.SIGKILL)
    with pytest.raises(ContainerFailed, match="the sandbox with it"):
        await container.wait()
    if setting_up:  # its own way to die with the keeper is not set up yet
        await asyncio.to_thread(end_marked, b"MOAT_RUN_ID=run_killed")
    await container._gone()


async def test_when_the_supervisor_is_gone_in_the_middle_of_a_start_nothing_is_left(lab):
    container = await lab.create("sh", "-c", "touch /workspace/began; sleep 1000")
    (link,) = lab.runtime._links.values()
    link._loop.remove_reader(link._control.fileno())
    link._control.close()  # all that the keeper sees of a supervisor that is killed
    os.close(container._release)
    container._release = -1
    await container._gone()
    assert not (lab.workspace / "began").exists()


async def test_a_command_asked_for_right_after_the_start_waits_for_the_sandbox(lab):
    container = await lab.create("sleep", "1000")
    await container.start()
    beside = await container.exec(ExecSpec(command=("sh", "-c", "ls /workspace && exit 9"), mark="MARK=0"))
    assert [data async for _, data in beside] == []
    assert await beside.wait() == 9
    await container.kill()
    assert await container.wait() == 137
