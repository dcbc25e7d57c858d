from __future__ import annotations

import shlex
import subprocess

from support.screen_home import request

from moat_tui.screen.models.curl import as_curl


def test_it_is_a_command_without_a_credential():
    text = as_curl(
        request(
            1,
            method="POST",
            url="https://api.github.com/x?a=1&token=[REDACTED]",
            request_headers={
                "Host": "api.github.com",
                "Authorization": "[REDACTED]",
                "X-Api-Key": "value-that-slipped-through",
                "Accept": "text/html; it's",
            },
            request_body='{"title": "it\'s"}',
        )
    )
    assert "value-that-slipped-through" not in text
    assert "# Authorization is left out" in text
    assert "Moat attached the grant github" in text
    assert shlex.split(text, comments=True) == [
        "curl", "-X", "POST", "https://api.github.com/x?a=1&token=[REDACTED]",
        "-H", "Accept: text/html; it's", "--data-raw", '{"title": "it\'s"}',
    ]  # fmt: skip


def test_nothing_recorded_can_end_a_comment_or_act_on_the_terminal():
    text = as_curl(
        request(1, request_headers={"X-Token\nrm -rf ~": "[REDACTED]"}, request_body="a\x1b[2J\n'\\ b\u202e")
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("rm") for line in text.splitlines())
    shown = subprocess.run(
        ["bash", "-c", "curl() { printf '%s' \"${@: -1}\"; }\n" + text],
        capture_output=True,
        check=True,
        timeout=20,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert shown.stdout.decode() == "a\x1b[2J\n'\\ b\u202e"
