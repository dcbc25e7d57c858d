import os

import msgspec
import pytest

from engine.events import LogLine
from engine.home import Home
from engine.run.jsonl import LineFile
from engine.run.tail import LOGS, LogTail

RUN = "run_0123456789ab"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run(RUN))
    return home


def append(home, data):
    with open(home.run(RUN) / LOGS, "ab") as file:
        file.write(data)


def line(text):
    return msgspec.json.encode(LogLine(ts="2026-01-01T00:00:00Z", line=text)) + b"\n"


def texts(lines):
    return [line.line for line in lines]


def test_reads_only_whole_lines_and_each_once(home):
    tail = LogTail(home, RUN)
    assert tail.read() == []  # the file does not exist yet
    append(home, line("one") + line("two")[:-5])
    assert texts(tail.read()) == ["one"]
    assert tail.read() == []
    append(home, line("two")[-5:])
    assert texts(tail.read()) == ["two"]


def test_read_stops_at_the_limit_and_goes_on_there(home):
    append(home, b"".join(line(str(n)) for n in range(10)))
    tail = LogTail(home, RUN)
    assert texts(tail.read(limit=3)) == ["0", "1", "2"]
    assert texts(tail.read(limit=100)) == [str(n) for n in range(3, 10)]


def test_last_reads_the_end_and_leaves_the_tail_there(home, monkeypatch):
    monkeypatch.setattr("engine.run.tail._BLOCK", 64)
    append(home, b"".join(line(str(n)) for n in range(1000)) + b'{"torn')
    tail = LogTail(home, RUN)
    assert texts(tail.last(3)) == ["997", "998", "999"]
    append(home, b'": 1}\n' + line("new"))
    assert texts(tail.read()) == ["new"]
    assert tail.skipped == 1  # the torn line is not a LogLine
    assert texts(LogTail(home, RUN).last(5000))[0] == "0"


def test_a_line_that_is_no_json_hides_nothing_else(home):
    append(home, line("a") + b"\xff\xfe garbage\n\n" + line("b"))
    tail = LogTail(home, RUN)
    assert texts(tail.read()) == ["a", "b"]
    assert tail.skipped == 1


def test_lines_longer_than_a_block_are_read_whole(home, monkeypatch):
    monkeypatch.setattr("engine.run.tail._BLOCK", 16)
    append(home, line("x" * 1000) + line("y"))
    assert texts(LogTail(home, RUN).read()) == ["x" * 1000, "y"]


def test_a_full_disk_loses_lines_countedly_and_never_tears_two(home, monkeypatch):
    file = LineFile(home, home.run(RUN) / LOGS)
    file.append(LogLine(ts="t", line="before"))
    real = os.write

    def short(fd, data):
        return real(fd, data[:10])

    monkeypatch.setattr("engine.run.jsonl.os.write", short)
    file.append(LogLine(ts="t", line="half"))

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.run.jsonl.os.write", full)
    file.append(LogLine(ts="t", line="lost"))
    monkeypatch.setattr("engine.run.jsonl.os.write", real)
    file.append(LogLine(ts="t", line="after"))
    file.close()
    assert texts(LogTail(home, RUN).read()) == ["before", "after"]
    assert file.dropped == 2
    assert file.problem
