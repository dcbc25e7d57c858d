from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.audit import AuditLog, console, credential, read_entries
from engine.errors import AuditError
from engine.home import Home


def test_pages_and_types(written: Path):
    everything = read_entries(written)
    assert [entry.seq for entry in everything] == list(range(1, 11))
    assert [entry.seq for entry in read_entries(written, after=3, limit=2)] == [4, 5]
    (used,) = read_entries(written, types=("credential",))
    assert used.data == {"name": "github", "action": "intent", "host": "api.github.com"}
    assert used.prev == everything[0].hash
    assert read_entries(written, after=10) == []
    assert read_entries(written, after=10**30, limit=10**30) == []
    assert read_entries(written, limit=0) == []
    assert [item.name for item in written.parent.iterdir()] == ["audit.db"]


async def test_a_live_log(home: Home, path: Path):
    async with await AuditLog.open(home, path) as log:
        first = await log.append(console("a"))
        assert read_entries(path) == [first]
        second = await log.append(credential("github", "intent", "h"))
        assert read_entries(path, after=1) == [second]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET data = '[]' WHERE seq = 2",
        "UPDATE entries SET data = CAST(data AS BLOB) WHERE seq = 2",
        "UPDATE entries SET data = CAST(x'ff' AS TEXT) WHERE seq = 2",
        "DROP TABLE entries",
    ],
)
def test_damage_is_an_error_with_a_remedy(written: Path, edit: Callable[..., None], sql: str):
    edit(sql)
    with pytest.raises(AuditError) as caught:
        read_entries(written)
    assert caught.value.remedy


def test_no_log(path: Path):
    with pytest.raises(AuditError, match="missing"):
        read_entries(path)
