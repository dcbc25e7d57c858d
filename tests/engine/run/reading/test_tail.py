import os

import msgspec
import pytest

from engine.events import LogLine
from engine.home import Home
from engine.run.reading.tail import LOGS, MAX_LINE, LogTail
from engine.run.records.jsonl import LineFile

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
    monkeypatch.setattr("engine.run.reading.tail._BLOCK", 64)
    append(home, b"".join(line(str(n)) for n in range(1000)) + b'{"torn')
    tail = LogTail(home, RUN)
    assert texts(tail.last(3)) == ["997", "998", "999"]
    append(home, b'": 1}\n' + line("new"))
    assert texts(tail.read()) == ["new"]
    assert tail.skipped == 1  # the torn line is not a LogLine
    assert texts(LogTail(home, RUN).last(5000))[0] == "0"


def test_a_line_that_is_no_json_hides_nothing_else(home):
    deep = b'{"x":' + b"[" * 100_000
    append(home, line("a") + b"\xff\xfe garbage\n\n" + deep + b"\n" + line("b"))
    tail = LogTail(home, RUN)
    assert texts(tail.read()) == ["a", "b"]
    assert tail.skipped == 2


def test_lines_longer_than_a_block_are_read_whole(home, monkeypatch):
    monkeypatch.setattr("engine.run.reading.tail._BLOCK", 16)
    append(home, line("x" * 1000) + line("y"))
    assert texts(LogTail(home, RUN).read()) == ["x" * 1000, "y"]


def test_a_full_disk_loses_lines_countedly_and_never_tears_two(home, monkeypatch):
    file = LineFile(home, home.run(RUN) / LOGS)
    file.append(LogLine(ts="t", line="before"))
    real = os.write

    def short(fd, data):
        return real(fd, data[:10])

    monkeypatch.setattr("engine.run.records.jsonl.os.write", short)
    file.append(LogLine(ts="t", line="half"))

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.run.records.jsonl.os.write", full)
    file.append(LogLine(ts="t", line="lost"))
    monkeypatch.setattr("engine.run.records.jsonl.os.write", real)
    file.append(LogLine(ts="t", line="after"))
    file.close()
    assert texts(LogTail(home, RUN).read()) == ["before", "after"]
    assert file.dropped == 2
    assert file.problem


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_a_file_that_is_another_now_is_read_from_its_beginning(home, how):
    tail = LogTail(home, RUN)
    append(home, line("one") + line("two"))
    assert len(tail.read()) == 2
    path = home.run(RUN) / LOGS
    if how == "truncated":
        path.write_bytes(b"")
        assert tail.read() == []
    else:
        home.write(path, line("other") * 3)
        assert texts(tail.read()) == ["other"] * 3
    append(home, line("new"))
    assert texts(tail.read()) == ["new"]


def test_an_endless_line_costs_no_memory_and_hides_nothing_after_it(home):
    import tracemalloc

    append(home, line("before"))
    path = home.run(RUN) / LOGS
    with open(path, "ab") as file:
        file.truncate(file.tell() + 100_000_000)  # a hole: zeros without a line end
    tail = LogTail(home, RUN)
    tracemalloc.start()
    assert texts(tail.read()) == ["before"]
    assert tail.read() == []
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 3 * MAX_LINE
    append(home, b"\n" + line("after"))
    assert texts(tail.read()) == ["after"]
    assert tail.skipped == 1


def test_the_last_lines_of_a_file_that_ends_in_an_endless_one(home):
    append(home, line("before"))
    with open(home.run(RUN) / LOGS, "ab") as file:
        file.truncate(file.tell() + 20_000_000)
    tail = LogTail(home, RUN)
    tail.last(10)
    append(home, b"\n" + line("after"))
    assert texts(tail.read()) == ["after"]


def test_last_none_moves_to_the_end(home):
    append(home, line("one") + line("two")[:-4])
    tail = LogTail(home, RUN)
    assert tail.last(0) == []
    append(home, line("two")[-4:])
    assert texts(tail.read()) == ["two"]


def test_a_hundred_thousand_lines_in_pages_and_at_once(home):
    append(home, b"".join(line(f"{n}") for n in range(100_000)))
    tail = LogTail(home, RUN)
    read = []
    while page := tail.read(7_000):
        assert len(page) <= 7_000
        read += texts(page)
    assert read == [str(n) for n in range(100_000)]
    assert texts(LogTail(home, RUN).last(60_000)) == [str(n) for n in range(40_000, 100_000)]


def test_lines_dropped_by_a_full_disk_are_counted_each(home, monkeypatch):
    file = LineFile(home, home.run(RUN) / LOGS)
    lines = [LogLine(ts="t", line=str(n)) for n in range(5)]
    real = os.write
    first = len(msgspec.json.encode(lines[0])) + 1
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[: first + 3]))  # one, and a bit
    file.append(*lines)
    assert file.dropped == 4
    monkeypatch.setattr(os, "write", real)
    file.append(LogLine(ts="t", line="later"))
    file.close()
    assert texts(LogTail(home, RUN).read()) == ["0", "later"]
