"""Values of JSON keys that name credentials: the quick way finds exactly what one pattern says."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.proxy.mask import REDACTED
from engine.proxy.redact import _JSON_KEYS, _json_values, _tokens

DEFINED = re.compile(
    rf"""(?P<head>(?P<q>(?<!\\)\\{{0,8}}["'])(?:{_JSON_KEYS})(?P=q)\s*:\s*(?P=q))"""
    r"""(?P<value>.*?)(?P<end>(?<!\\)(?P=q)|\Z)""",
    re.IGNORECASE | re.DOTALL,
)
PIECES = st.sampled_from(
    [
        '"', "'", "\\", "\\\\", ":", ",", " ", "{", "}", "\n", "token", "Access_Token", "api_key",
        "accessKey", "code", "max_tokens", "x", "s\u0131gnature", "\u017fecret", "\u212aey", "private-key",
        "cookie", "passwd", "1",
    ]
)  # fmt: skip


def defined(text: str) -> str:
    return DEFINED.sub(lambda match: f"{match['head']}{REDACTED}{match['end']}", text)


@settings(max_examples=2000, deadline=None)
@given(st.lists(PIECES, max_size=24).map("".join))
@example('"token":"x","token":"y"')
@example('"token":"x"token":"y"')
@example('{"body":"{\\"api_key\\": \\"x\\"}"}')
@example('"token": "cut off')
@example('"a":"token":"x"')
def test_what_goes_is_what_the_pattern_says(text: str):
    assert _json_values(text) == defined(text)


@pytest.mark.parametrize("text", ['{"name": "x", "html_url": "https://h/x"}', "plain", ""])
def test_a_text_without_such_keys_stays_as_it_is(text: str):
    assert _tokens(text, "application/json") == text
