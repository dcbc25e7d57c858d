from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.host import HostAudit, HostRekor, HostTimestamps, HostWitness, load_host_config
from engine.errors import ConfigError
from engine.home import Home

KEY = "witness.test/w1+8d66cf3f+BPNBZw3qmJyHBBXe3i+Z3dUXFrUMaBn3Bzp0Xhk2JcCJ"

WHOLE = f"""\
audit:
  witnesses:
    - /mnt/stick/moat
    - directory: ~/elsewhere
    - git: git@example.com:heads.git
    - git: ssh://git@example.com/heads.git
    - url: https://witness.test/
      key: {KEY}
  timestamps: {{url: "https://tsa.test/", ca: /etc/tsa.pem}}
  rekor: {{url: "https://rekor.test", key: {KEY}}}
"""


def read(tmp_path: Path, text: str) -> HostAudit:
    home = Home(tmp_path / "moat")
    home.write(home.config_file, text.encode())
    return load_host_config(home).audit


def test_a_whole_section(tmp_path: Path):
    assert read(tmp_path, WHOLE) == HostAudit(
        (
            HostWitness(directory="/mnt/stick/moat"),
            HostWitness(directory=str(Path.home() / "elsewhere")),
            HostWitness(git="git@example.com:heads.git"),
            HostWitness(git="ssh://git@example.com/heads.git"),
            HostWitness(url="https://witness.test/", key=KEY),
        ),
        HostTimestamps("https://tsa.test/", "/etc/tsa.pem"),
        HostRekor("https://rekor.test", KEY),
    )
    assert read(tmp_path, "theme: moat-light\n") == HostAudit()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("audit: {witness: []}", 1, "witnesses"),
        ("audit:\n  witnesses: [relative]", 2, "whole path"),
        ("audit:\n  witnesses:\n    - {url: 'https://w.test'}", 3, "its `key:`"),
        ("audit:\n  witnesses:\n    - {git: x, key: y}", 3, "its `key:`"),
        ("audit:\n  witnesses:\n    - {git: --upload-pack=x}", 3, "a git remote"),
        ("audit:\n  witnesses:\n    - {url: 'ftp://w.test', key: 'a+b'}", 3, "a URL"),
        ("audit:\n  witnesses:\n    - git: https://token@git.test/h.git", 3, "every proof bundle"),
        ("audit:\n  witnesses:\n    - git: ssh://me:secret@git.test/h.git", 3, "every proof bundle"),
        (f"audit:\n  witnesses:\n    - {{url: 'https://a:b@w.test', key: {KEY}}}", 3, "every proof bundle"),
        (f"audit:\n  rekor: {{url: 'HTTPS://a:b@r.test', key: {KEY}}}", 2, "a URL"),
        ("audit:\n  rekor: {url: 'https://r.test'}", 2, "its `key:`"),
        ("audit:\n  timestamps: {url: 'https://t.test'}", 2, "`ca:`"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, line: int, why: str):
    with pytest.raises(ConfigError, match=why) as caught:
        read(tmp_path, text)
    assert caught.value.line == line
