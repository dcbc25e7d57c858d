"""The whole life of a container, against a scripted `container` whose insides are real processes."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from support import apple_container
from support.apple_driving import RUN, USER, open_apple, whole

from engine.errors import ContainerFailed, ImageUnavailable, RuntimeUnavailable, UsageError
from engine.runtimes import Bind, ContainerSpec, ExecSpec, PlacedFile
from engine.runtimes.apple import runtime as runtime_module

pytestmark = pytest.mark.bubblewrap  # the scripted tool's containers are made with it

IMAGE = "debian:bookworm-slim"


@pytest.mark.parametrize("release", ["0.5", "0.9", "1.0"])
async def test_a_life_in_every_generation_of_the_tool(state, container, release) -> None:
    apple_container.configure(state, release=release)
    async with container("sh", "-c", "pwd; echo oops >&2; exit 7", internal=False) as (made, streams):
        assert await whole(streams) == (b"/workspace\n", b"oops\n")
        assert await made.wait() == 7
        found = await made.apple.leftovers("home")
        assert [(left.kind, left.name, left.run_id) for left in found] == [
            ("container", f"moat-{RUN}", RUN),
            ("network", f"moat-{RUN}", RUN),
        ]
        assert await made.apple.leftovers("another") == []
        assert len(await made.apple.remove_run(RUN)) == 2
        assert await made.apple.remove_run(RUN) == []
        assert await made.apple.leftovers("home") == []


async def test_files_a_home_and_a_name_are_the_agents(state, container, tmp_path) -> None:
    (tmp_path / "extra,dir").mkdir()
    (state / "root/home/moat/.kept").mkdir(parents=True)
    show = """
        id -un; echo "$HOME"; cat /etc/ssl/certs/bundle.crt; readlink /etc/link; stat -c %a /run/moat/ssh
        printf '%s' "$ODD"; cat ~/.cloud/token ~/.kept/a; stat -c %a:%u ~/.cloud/token; ls -d /extra
        touch /.moat/x
    """
    odd = "two\nlines 'and' $quotes"
    mine = ("4242", "4343") if os.geteuid() == 0 else USER.split(":")
    async with container(
        "sh", "-c", show, user=":".join(mine),
        env={"ODD": odd},
        binds=(Bind(str(tmp_path / "extra,dir"), "/extra", read_only=True),),
        files=(
            PlacedFile("/etc/ssl/certs/bundle.crt", b"roots\n"),
            PlacedFile("/etc/link", link="/moat/ca"),
            PlacedFile("/run/moat/ssh", directory=True, mode=0o1777),
        ),
        home_files=(PlacedFile(".cloud/token", b"decoy\n", mode=0o600), PlacedFile(".kept/a", b"new")),
    ) as (made, streams):  # fmt: skip
        out, err = await whole(streams)
    name = "moat" if os.geteuid() == 0 else "root"
    assert out.decode().startswith(
        f"{name}\n/home/moat\nroots\n/moat/ca\n1777\n{odd}decoy\n600:{mine[0]}\n/extra\n"
    )
    assert b".kept/a" in err
    assert b"Read-only" in err
    assert made.left_out == (".kept/a",)


async def test_input_ends_and_a_binary_stream_is_whole(container) -> None:
    async with container("wc", "-c", interactive=True) as (made, streams):
        data = os.urandom(300_000)
        await streams.write(data)
        await streams.close_stdin()
        assert (await whole(streams))[0].split() == [b"300000"]
        assert await made.wait() == 0


async def test_a_terminal_has_a_size_and_no_spinner(container) -> None:
    script = "stty size; read -r line; stty size; echo got $line"
    async with container("sh", "-c", script, interactive=True, tty=True) as (made, streams):
        seen = b""
        async for stream, data in streams:
            assert stream == "stdout"
            seen += data
            if seen.count(b"\n") == 1 and b"0 0" in seen:
                await made.resize(24, 100)
                await streams.write(b"hello\n")
        assert b"24 100" in seen
        assert b"got hello" in seen
        assert await made.wait() == 0


async def test_commands_beside_the_agent(container) -> None:
    async with container("sleep", "100", env={"OWN": "agent's"}) as (made, _):
        one = await made.exec(
            ExecSpec(
                command=("sh", "-c", 'read line; echo "$OWN $MINE $line"; exit 3'),
                mark="MARK=1",
                env={"MINE": "m"},
            )
        )
        await one.write(b"typed\n")
        await one.close_stdin()
        assert await whole(one) == (b"agent's m typed\n", b"")
        assert await one.wait() == 3
        await one.close()
        two = await made.exec(
            ExecSpec(command=("sh", "-c", "echo up; sleep 100"), mark="MARK=two", stdin=False)
        )
        assert await anext(aiter(two)) == ("stdout", b"up\n")
        await two.signal("TERM")
        assert await two.wait() == 128 + 15
        await two.close()
        none = await made.exec(ExecSpec(command=("no-such-program",), mark="MARK=3", stdin=False))
        assert b"no-such-program" in (await whole(none))[1]
        assert await none.wait() == 127
        await none.close()


async def test_stop_asks_and_then_kills(container) -> None:
    async with container(
        "sh", "-c", "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    ) as (
        made,
        streams,
    ):
        output = aiter(streams)
        assert await anext(output) == ("stdout", b"up\n")
        await made.stop(10)
        assert await made.wait() == 5
        await made.stop(10)
        await made.kill()
    async with container("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done") as (
        made,
        streams,
    ):
        assert await anext(aiter(streams)) == ("stdout", b"up\n")
        began = time.monotonic()
        await made.stop(1)
        assert time.monotonic() - began >= 1
        assert await made.wait() == 128 + 9


async def test_what_leaves_by_arguments_holds_nothing_of_the_environment(state, container, tmp_path) -> None:
    async with container("true", env={"HTTP_PROXY": "http://moat:TOKEN@gateway:1"}) as (_, streams):
        await whole(streams)
        assert [path for path in tmp_path.iterdir() if path.name.startswith("moat-run_")]
    assert "TOKEN" not in (state / "calls.jsonl").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("moat-run_")]


async def test_what_a_killed_supervisor_left_is_removed_with_its_files(state, container, tmp_path) -> None:
    async with container("sleep", "100"):
        left = tmp_path / "moat-run_ffffffffffff-x"
        left.mkdir()
        async with open_apple() as later:
            assert len(await later.remove_run(RUN)) == 2
            await later.remove_run("run_ffffffffffff")
        assert not left.exists()


async def test_a_kept_container_keeps_its_network(state, container) -> None:
    async with container("sleep", "100") as (made, _):
        assert await made.apple.remove_run(RUN, keep_container=True) == []
        assert {left.kind for left in await made.apple.leftovers("home")} == {"container", "network"}
    assert ["kill", f"moat-{RUN}"] in apple_container.calls(state)


async def test_where_the_proxy_is_and_who_may_connect(state, tmp_path) -> None:
    async with open_apple() as apple:
        network = await apple.create_network(RUN, "home", True)
        terms = await apple.terms(network, False, 501, 20)
        assert (terms.reach.host, terms.reach.bind, terms.reach.peers) == (
            "127.0.0.1",
            "0.0.0.0",
            "127.0.0.0/8",
        )
        assert not terms.reach.own_address
        assert not terms.mounts_sockets
        assert (terms.user, terms.sandbox) == ("501:20", "")
        assert "--no-sandbox changes nothing" in terms.remark
        assert not (await apple.terms(network, None, 501, 20)).remark
        with pytest.raises(UsageError, match="gVisor"):
            await apple.terms(network, True, 501, 20)


async def test_not_installed(state, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeUnavailable, match=r"not installed.*releases, then: container system start"):
        async with open_apple():
            pass


async def test_services_that_do_not_run(state) -> None:
    apple_container.configure(state, running=False)
    with pytest.raises(
        RuntimeUnavailable, match=r"do not run.*not registered with launchd.*container system start"
    ):
        async with open_apple():
            pass


async def test_services_that_stop_in_the_middle(state, container) -> None:
    async with container("sh", "-c", "echo up; sleep 100") as (made, streams):
        output = aiter(streams)
        assert await anext(output) == ("stdout", b"up\n")
        apple_container.configure(state, running=False)
        with pytest.raises(RuntimeUnavailable, match="do not run"):
            await made.wait()
        apple_container.configure(state, running=True)


async def test_an_image_that_cannot_be_pulled(state) -> None:
    error = 'internalError: "HTTP request to https://nowhere/v2/x failed with response: 401 Unauthorized."'
    apple_container.configure(state, pull_error=error)
    said = []
    async with open_apple() as apple:
        await apple.ensure_image(IMAGE, said.append)
        assert said == []
        with pytest.raises(ImageUnavailable, match=r"image nowhere/x.*401 Unauthorized"):
            await apple.ensure_image("nowhere/x", said.append)
        apple_container.configure(state, pull_error="")
        await apple.ensure_image("somewhere/y", said.append)
    assert said == ["pulling image nowhere/x", "pulling image somewhere/y"]


async def test_names_that_are_taken(state, container) -> None:
    async with container("sleep", "100") as (made, _):
        with pytest.raises(ContainerFailed, match=rf"network named moat-{RUN} exists already.*moat clean"):
            await made.apple.create_network(RUN, "home", True)
        with pytest.raises(ContainerFailed, match=rf"container named moat-{RUN} exists already.*moat clean"):
            await made.apple.create(made._spec)


@pytest.mark.parametrize("late_exec", [False, True], ids=["at once", "while files are put"])
async def test_an_image_without_a_shell(state, container, late_exec) -> None:
    apple_container.configure(state, late_exec=late_exec)
    (state / "root/bin").unlink()
    with pytest.raises(ContainerFailed, match="could not start the container"):
        async with container("true"):
            pass


async def test_the_images_own_command(state, container) -> None:
    own = {"Entrypoint": ["echo", "entry"], "Cmd": ["command"]}
    apple_container.configure(state, images={IMAGE: own})
    async with container() as (_, streams):
        assert await whole(streams) == (b"entry command\n", b"")
    async with container("other") as (_, streams):
        assert await whole(streams) == (b"entry other\n", b"")


async def test_strict_is_refused_where_it_cannot_be_kept(state, monkeypatch, tmp_path) -> None:
    async with open_apple() as apple:
        monkeypatch.setattr(runtime_module, "forwards_packets", lambda: True)
        with pytest.raises(RuntimeUnavailable, match=r"cannot be kept here.*net\.inet\.ip\.forwarding"):
            await apple.create_network(RUN, "home", True)
        assert await apple.leftovers("home") == []
        await apple.create_network(RUN, "home", False)
        await apple.remove_run(RUN)
        apple_container.configure(state, release="0.5")
        with pytest.raises(RuntimeUnavailable, match=r"cannot make a network without a way out.*--internal"):
            await apple.create_network(RUN, "home", True)
    monkeypatch.setattr(runtime_module, "forwards_packets", lambda: False)
    apple_container.configure(state, release="0.9")
    async with open_apple() as apple:
        network = await apple.create_network(RUN, "home", True)
        await apple.ensure_image(IMAGE, print)
        spec = ContainerSpec(
            run_id=RUN, home_label="home", name=f"moat-{RUN}", image=IMAGE, network=network, command=("true",)
        )
        with pytest.raises(RuntimeUnavailable, match=r"newer release.*--cap-drop"):
            await apple.create(spec)
        await apple.remove_run(RUN)


async def test_a_mount_that_is_no_directory(state, container, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ContainerFailed, match="cannot be mounted in an Apple container"):
        async with container("true", binds=(Bind(str(tmp_path / "file"), "/file"),)):
            pass


async def test_a_start_that_is_broken_off_leaves_nothing(state, container, tmp_path) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with container("sleep", "100"):
            raise asyncio.CancelledError
    async with open_apple() as apple:
        assert await apple.leftovers("home") == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("moat-run_")]
