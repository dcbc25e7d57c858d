from __future__ import annotations

import pytest

from engine.config import HostPattern, parse_host_pattern
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("api.github.com", HostPattern("api.github.com")),
        ("API.GitHub.com.", HostPattern("api.github.com")),
        ("*.openai.com", HostPattern("*.openai.com")),
        ("localhost:8080", HostPattern("localhost", 8080)),
        ("xn--bcher-kva.example:443", HostPattern("xn--bcher-kva.example", 443)),
        ("_dmarc.example.com", HostPattern("_dmarc.example.com")),
    ],
)
def test_patterns_are_normalised(text: str, pattern: HostPattern) -> None:
    assert parse_host_pattern(text) == pattern
    assert parse_host_pattern(str(pattern)) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "*", "*.", "a..b", "-a.test", "a-.test", "a.*.test", "*a.test", "**.test", "https://a.test",
        "a.test/", "user@a.test", "a.test:0", "a.test:65536", "a.test:", "a.test:http", "a.test:80:80",
        "127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "::1", "a b.test", "a\n.test",
        "bücher.test", "\u0430pi.github.com", "a" * 64 + ".test", ".".join(["a" * 60] * 5), "a.test?x",
        "a.test..", "a.test\0",
    ],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a host name"):
        parse_host_pattern(text)
