import asyncio
import os

import pytest

from engine.errors import RunStateError
from engine.events import ControlReply, ControlRequest
from engine.home import Home
from engine.run.control.control import CONTROL, ask, serve_control

RUN = "run_0123456789ab"


@pytest.fixture(params=["short", "long"])
def home(tmp_path, request):
    # A socket address holds 108 bytes; a home may lie deeper.
    root = tmp_path / ("h" if request.param == "short" else "/".join(["d" * 50] * 4))
    home = Home(root)
    home.ensure_dir(home.run(RUN))
    return home


async def test_asks_and_answers(home):
    seen = []

    def answer(request):
        seen.append(request.op)
        return ControlReply(ok=True, state="running")

    async with serve_control(home, RUN, answer):
        path = home.run(RUN) / CONTROL
        assert os.stat(path).st_mode & 0o777 == 0o600
        reply = await ask(home, RUN, ControlRequest(op="ping"))
        assert reply == ControlReply(ok=True, state="running")
    assert seen == ["ping"]
    assert not path.exists()


async def test_nonsense_and_silence_leave_the_server_standing(home):
    async with serve_control(home, RUN, lambda request: ControlReply(ok=True)):
        fd = os.open(home.run(RUN), os.O_PATH)
        for data in (b"\x00\xff\n", b"x" * 10_000, b""):
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{fd}/{CONTROL}")
            writer.write(data)
            writer.write_eof()
            await reader.read()
            writer.close()
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{fd}/{CONTROL}")
        writer.write(b'{"x":' + b"[" * 100_000 + b"\n")
        assert b"not a request" in await reader.read()
        writer.close()
        os.close(fd)
        assert (await ask(home, RUN, ControlRequest(op="ping"))).ok


async def test_nobody_there_is_an_error_that_names_the_run(home):
    with pytest.raises(RunStateError, match=RUN):
        await ask(home, RUN, ControlRequest(op="stop"))


async def test_a_deep_home_and_other_threads_files(tmp_path, monkeypatch):
    """Python 3.13 asks what lies at a server's name; the number in it must not be another file's."""
    home = Home(tmp_path / ("deep" * 20))
    home.ensure_dir(home.run(RUN))
    taken = []
    real = os.chmod

    def chmod(*arguments):
        real(*arguments)
        taken.append(os.open(__file__, os.O_RDONLY))  # as another thread does, between bind and listen

    monkeypatch.setattr(os, "chmod", chmod)
    async with serve_control(home, RUN, lambda request: ControlReply(ok=True)):
        assert (await ask(home, RUN, ControlRequest(op="ping"))).ok
    assert not (home.run(RUN) / CONTROL).exists()
    for fd in taken:
        os.close(fd)
