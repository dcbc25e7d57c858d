"""What searching responses for credentials costs. Run: python tests/benchmarks/scrub.py

CPU time, three grants with keys of the usual lengths, bodies in pieces of 64 KiB without a value in them;
medians of five. The gate: JSON is searched at no less than 1,000 MB/s, so that a relay loses nothing by it.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable

from engine.proxy.inject import HeaderList
from engine.proxy.needles import Needles
from engine.proxy.scrub import Lexicon
from engine.proxy.scrub_response import ResponseScrubber

PIECE = 64 * 1024
GATE = 1000.0  # MB/s
EVENT = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}\n\n'
SMALL: HeaderList = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"content-length", b"19"),
    (b"date", b"Sun, 22 Nov 2026 01:00:00 GMT"),
    (b"etag", b'W/"5f1d2c3b4a"'),
    (b"x-ratelimit-remaining", b"4999"),
    (b"vary", b"Accept, Authorization"),
]


def lexicon() -> Lexicon:
    github = "ghp_" + secrets.token_hex(18)
    basic = base64.b64encode(f"x-access-token:{github}".encode()).decode()
    anthropic, openai = "sk-ant-api03-" + secrets.token_urlsafe(70), "sk-proj-" + secrets.token_urlsafe(110)
    return Lexicon(
        Needles([("github", github), ("github", basic), ("anthropic", anthropic), ("openai", openai)])
    )


def cpu(work: Callable[[], None], times: int) -> float:
    """Seconds of CPU for one, median of five."""
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - start) / times)
    return statistics.median(rounds)


def rate(known: Lexicon, fields: HeaderList, body: bytes) -> float:
    """MB/s of what comes from the upstream."""

    def one() -> None:
        scrubber = ResponseScrubber(known)
        scrubber.head("GET", 200, b"OK", fields)
        for at in range(0, len(body), PIECE):
            scrubber.body(body[at : at + PIECE])
        scrubber.end()

    return len(body) / cpu(one, 3) / 1e6


def main() -> int:
    known = lexicon()
    plain: HeaderList = [(b"content-type", b"application/json")]
    items = [
        {"id": n, "url": f"https://api.github.com/repos/a/b/{n}", "body": 'some "words"\nof a text ' * 5}
        for n in range(20_000)
    ]
    text = json.dumps(items).encode()
    links = b"".join(b"see https://a.example/b%%20c%%2Fd?page=%d&q=50%%25\n" % n for n in range(60_000))
    stream = ResponseScrubber(known)
    stream.head("GET", 200, b"OK", [(b"content-type", b"text/event-stream")])

    def small() -> None:
        scrubber = ResponseScrubber(known)
        scrubber.head("GET", 200, b"OK", SMALL)
        scrubber.body(b'{"login":"octocat"}')
        scrubber.end()

    searched = rate(known, plain, text)
    table = [
        ("JSON", f"{searched:,.0f} MB/s", f"at least {GATE:,.0f}"),
        ("text full of percent-encoding", f"{rate(known, plain, links):,.0f} MB/s", ""),
        (
            "JSON in gzip, as it comes",
            f"{rate(known, [*plain, (b'content-encoding', b'gzip')], gzip.compress(text, 6)):,.1f} MB/s",
            f"{len(text) / len(gzip.compress(text, 6)):.0f} times that when unpacked",
        ),
        ("a small response", f"{cpu(small, 5000) * 1e6:.0f} us", ""),
        ("an event of a stream", f"{cpu(lambda: void(stream.body(EVENT)), 5000) * 1e6:.1f} us", ""),
        ("made once a run", f"{cpu(lambda: void(lexicon()), 20) * 1e3:.1f} ms", ""),
    ]
    for name, value, note in table:
        sys.stdout.write(f"{name:<32} {value:<14} {note}\n")
    return 0 if searched >= GATE else 1


def void(_: object) -> None:
    return


if __name__ == "__main__":
    sys.exit(main())
