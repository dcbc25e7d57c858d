"""Where a proof bundle is written, and names that complete themselves."""

from __future__ import annotations

import os

import pytest

from moat_tui.screen.named_files import completed
from moat_tui.screen.proof_files import default_name, write_whole


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("swift-otter", "swift-otter-proof.json"),
        ("../../etc/passwd", "etc-passwd-proof.json"),
        ("a\x1b[2J b", "a-2J-b-proof.json"),
        ("…", "run-proof.json"),
    ],
)
def test_a_runs_name_stays_a_file_name(run, name):
    assert default_name(run) == name


def test_a_file_is_private_and_whole_and_replaces_only_when_told(tmp_path):
    path = tmp_path / "proof.json"
    write_whole(path, b"one", replace=False)
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_whole(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    write_whole(path, b"two", replace=True)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["proof.json"]


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    path = tmp_path / "proof.json"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_whole(path, b"one", replace=False)
    assert not (tmp_path / "elsewhere").exists()


def test_names_complete_themselves(tmp_path):
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "review.json").touch()
    (tmp_path / ".hidden").touch()
    assert completed(f"{tmp_path}/pr") == f"{tmp_path}/proofs/"
    assert completed(f"{tmp_path}/proofs/") == f"{tmp_path}/proofs/review.json"
    assert completed(f"{tmp_path}/") == f"{tmp_path}/proofs/"
    assert completed(f"{tmp_path}/nothing") is None
    assert completed(f"{tmp_path}/missing/x") is None
    assert completed("") is None
