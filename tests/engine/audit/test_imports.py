from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["Verdict", "render_verdict", "Entry", "container"])
def test_viewing_a_verdict_loads_neither_sqlite_nor_cryptography(name: str):
    script = (
        f"import sys; from engine.audit import {name};"
        "print([m for m in ('sqlite3', 'cryptography', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_everything_exported_exists():
    from engine import audit

    assert all(getattr(audit, name) is not None for name in audit.__all__)
    with pytest.raises(AttributeError):
        _ = audit.nothing
