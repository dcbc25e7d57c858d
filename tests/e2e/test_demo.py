"""`make demo` after its set-up: the walk ends well and shows what it promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.gvisor


def test_the_demo_shows_the_main_job_and_leaks_nothing(moat):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "moat_tui.demo"],
        capture_output=True, text=True, env=moat.env, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"login": "octocat"' in done.stdout
    assert "GH_TOKEN=ghp_moatProxyInjectedPlaceholder" in done.stdout
    assert done.stdout.count("VERDICT: [ok] INTACT") == 2
    assert "ghp_demo" not in done.stdout + done.stderr
    assert ".venv/bin/moat" in done.stdout
