"""A run's log by its run id, and a proof bundle from a file."""

from __future__ import annotations

import os

import pytest

import engine
from engine.audit import Signer, append_and_close, console, container
from engine.errors import AuditError
from engine.home import Home

RUN = "run_aaaa1111"


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folder = home.ensure_dir(home.run(RUN))
    (folder / "audit.db").touch(0o600)
    append_and_close(
        home, folder / "audit.db", [container("created"), console("one"), console("two")], Signer(bytes(32))
    )
    return home


def test_the_parts_fit_together(home):
    assert engine.audit_counts(home, RUN).types == {"container": 1, "console": 2}
    assert engine.audit_pages(home, RUN, ("console",), size=2).starts == (2,)
    assert [entry.seq for entry in engine.audit_page(home, RUN, ("console",), after=1)] == [2, 3]
    assert engine.audit_place(home, RUN, 3, ("console",)) == 1


def test_a_run_without_a_log(home):
    with pytest.raises(AuditError, match="missing"):
        engine.audit_counts(home, "run_bbbb2222")


def test_a_bundle_file_is_verified(home, tmp_path):
    path = tmp_path / "proof.json"
    path.write_bytes(engine.export_bundle(home, RUN))
    assert engine.verify_bundle_file(home, path).valid
    path.write_bytes(path.read_bytes().replace(b"two", b"TWO"))
    assert not engine.verify_bundle_file(home, path).valid


def test_what_is_no_bundle_file(home, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = tmp_path / "text"
    text.write_text("hello")
    for path in (pipe, text, tmp_path, tmp_path / "missing"):
        with pytest.raises(AuditError):
            engine.verify_bundle_file(home, path)
