"""Blocks find every line of a file, wherever reading began and however it grew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat_tui.screen.models import line_blocks
from moat_tui.screen.models.line_blocks import Blocks, block_before, line_start_before, next_block, open_lines


def index(path: Path, begin: int, blocks: Blocks) -> None:
    """Everything: forwards from the line at `begin`, then backwards."""
    fd = open_lines(path)
    assert fd is not None
    try:
        start = line_start_before(fd, begin)
        offset, end = start, os.fstat(fd).st_size
        while (block := next_block(fd, blocks.after, offset, end)) is not None:
            blocks.add_newer(block)
            offset = block.offset + block.size
        while start > 0:
            block = block_before(fd, blocks.first, start)
            blocks.add_older(block)
            start = block.offset
    finally:
        os.close(fd)


def line(path: Path, blocks: Blocks, number: int) -> bytes:
    block = blocks.holding(number)
    data = path.read_bytes()[block.offset : block.offset + block.size]
    pieces = data.split(b"\n")[:-1]
    assert len(pieces) == block.lines
    return pieces[number - block.first]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), max_size=60),
    torn=st.sampled_from([b"", b"half"]),
    begin=st.floats(0, 1),
    size=st.sampled_from([8, 64, 100_000]),
)
def test_every_line_is_found(tmp_path, monkeypatch, lines, torn, begin, size):
    monkeypatch.setattr(line_blocks, "BLOCK", size)
    path = tmp_path / "lines"
    data = b"".join(item + b"\n" for item in lines)
    path.write_bytes(data + torn)
    blocks = Blocks()
    index(path, int(begin * len(data)), blocks)
    assert blocks.count == len(lines)
    assert [line(path, blocks, number) for number in range(blocks.first, blocks.after)] == lines
    for outside in (blocks.first - 1, blocks.after):
        with pytest.raises(IndexError):
            blocks.holding(outside)


def test_a_growing_file_does_not_make_a_block_of_every_line(tmp_path):
    path, blocks, offset = tmp_path / "lines", Blocks(), 0
    with path.open("ab", buffering=0) as file:
        fd = open_lines(path)
        for _ in range(2_000):
            file.write(b"x" * 99 + b"\n")
            block = next_block(fd, blocks.after, offset, offset + 100)
            blocks.add_newer(block)
            offset += 100
        os.close(fd)
    assert blocks.count == 2_000
    assert len(blocks._newer) == 4
    assert line(path, blocks, 1_999) == b"x" * 99


def test_no_file_is_none_and_a_symlink_is_refused(tmp_path):
    assert open_lines(tmp_path / "none") is None
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        open_lines(tmp_path / "link")
