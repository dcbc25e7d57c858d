"""What the keeper waits for. It is a program of its own, which imports nothing of Moat's."""

from __future__ import annotations

import pytest

from engine.runtimes.bubblewrap.keeper.serve import is_mapped

MAP = "         0          0          1\n"


@pytest.mark.parametrize(
    ("users", "groups", "mapped"), [("", "", False), (MAP, "", False), ("", MAP, False), (MAP, MAP, True)]
)
def test_a_namespace_is_there_when_both_its_users_and_its_groups_are(tmp_path, users, groups, mapped):
    (tmp_path / "uid_map").write_text(users)
    (tmp_path / "gid_map").write_text(groups)
    assert is_mapped(str(tmp_path)) is mapped
