"""The page: what the run said stands in it as text, it loads nothing, and it stays of a size that opens."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import pytest
from support.finished_run import HOSTILE, FinishedRun, looked
from support.page_verifier import by_page

from engine.audit import Entry, policy
from engine.audit.canonical import canonical_json
from engine.dossier import collect
from engine.dossier.story import MOST_REQUESTS, Story
from engine.events import RequestRecord
from engine.heads import read_pin
from engine.workspace import FileState, LeftOut, Look, WorkspaceChange, WorkspaceRecord

VOID = {"meta", "br", "input"}
NEEDLE = "ghp_5f1c0ffee0badc0de5f1c0ffee0badc0de"


class Reader(HTMLParser):
    """Which elements there are, properly nested, and the text of each script."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag in ("script", "style"):
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] in ("script", "style"):
            self.scripts[-1] += data
        else:
            self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.stack == []
    return reader


async def hostile_run(home) -> FinishedRun:
    run = FinishedRun(home, name=HOSTILE, env=(HOSTILE,), frozen=HOSTILE, error=HOSTILE)
    run.request(RequestRecord("1", "2026-01-01T00:00:00Z", HOSTILE, f"https://h/{HOSTILE}", host=HOSTILE))
    run.entries.append(policy("network", f"GET {HOSTILE}", "deny", rule=HOSTILE, message=HOSTILE))
    run.entries.append(policy("network", "GET /", "scrub", rule="echoed", message=f"ALARM {HOSTILE}"))
    run.printed(HOSTILE, "</pre></body>", "last line")
    state = FileState("link", "777", target=HOSTILE, leads_out=True)
    change = WorkspaceChange(
        HOSTILE, "added", after=state, diff=f"@@ -0,0 +1 @@\n+{HOSTILE}\n", no_diff=HOSTILE
    )
    left_out = (LeftOut(HOSTILE, 3, (HOSTILE,)),)
    run.record(WorkspaceRecord(**looked(changes=(change,), added=1, after=Look("", left_out=left_out))))
    await run.close()
    return run


async def test_what_the_run_said_is_text_and_nothing_else(home):
    reader = read((await hostile_run(home)).page())
    scripts = [attrs for tag, attrs in reader.elements if tag == "script"]
    assert [attrs.get("id") for attrs in scripts] == ["bundle", None]
    assert not [attrs for _, attrs in reader.elements if any(name.startswith("on") for name in attrs)]
    assert "<script>alert(1)</script>" in reader.text
    assert "␛]0;title␇<U+202E>gnp.exe" in reader.text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", reader.text)


@pytest.mark.parametrize(
    ("given", "told"), [("host", "the agent was root there"), ("dind", "docker:dind, a daemon"), ("", "")]
)
async def test_the_docker_that_a_run_was_given_is_told(home, given, told):
    run = FinishedRun(home, docker=given)
    await run.close()
    text = read(run.page()).text
    assert told in text
    assert ("docker:" in text) == bool(given)


async def test_it_loads_nothing(home):
    page = (await hostile_run(home)).page()
    reader = read(page)
    for tag, attrs in reader.elements:
        assert tag not in (
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "video",
            "audio",
            "svg",
        )
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith("#")
    style, bundle, script = reader.scripts
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|WebSocket|import\(|innerHTML|eval\(", script)
    [policy_said] = [attrs["content"] for tag, attrs in reader.elements if attrs.get("http-equiv")]
    hashed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy_said == (
        f"default-src 'none'; style-src 'sha256-{hashed[0]}'; script-src 'sha256-{hashed[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert json.loads(bundle)["version"] == 1


async def test_it_tells_the_story(home):
    run = FinishedRun(home)
    run.request(
        RequestRecord("1", "2026-01-01T00:00:00Z", "GET", "https://api.github.com/a", "api.github.com", 200)
    )
    run.request(
        RequestRecord(
            "2", "2026-01-01T00:00:01Z", "GET", "https://evil.test/", "evil.test", 403, decision="denied"
        )
    )
    run.entries += [
        policy("network", "GET https://evil.test/", "deny", rule="not-allowed", message="evil.test: no"),
        policy(
            "network", "GET https://b.test/", "allow", rule="approval-once", message="A person allowed it."
        ),
        policy("network", "POST https://c.test/", "freeze", rule="decoy", message="a decoy was leaving"),
        policy("report", "backup", "done", rule="uid 1000 pid 7", message="by hand"),
    ]
    run.printed("hello there")
    hook = WorkspaceChange(
        ".git/hooks/pre-push", "added", after=FileState("file", "755", 4), diff="@@ -0,0 +1 @@\n+evil\n",
        runs_later="git runs it",
    )  # fmt: skip
    run.record(WorkspaceRecord(**looked(changes=(hook,), added=1)))
    await run.close()

    text = " ".join(read(run.page()).text.split())

    for said in (
        "VERDICT: [ok] INTACT", "github:ro", "API_KEY resolved from op", "2 requests to 2 hosts",
        "not-allowed", "approval-once", "A person allowed it.", "decoy leaving", "a decoy was leaving",
        "uid 1000 pid 7", "hello there", ".git/hooks/pre-push - git runs it", "+evil",
        "holds the SHA-256 of this record",
        "image debian, sandbox gvisor", read_pin(home).hex(),
    ):  # fmt: skip
        assert said in text, said


async def test_one_of_a_thing_is_one(home):
    run = FinishedRun(home)
    run.request(RequestRecord("1", "2026-01-01T00:00:00Z", "GET", "https://a.test/", "a.test", 200))
    run.append("network.jsonl", "no record")
    run.printed("hello there")
    run.record(
        WorkspaceRecord(**looked(before=Look("2026-01-01T00:00:00Z", files=1), after=Look("", files=2_345)))
    )
    await run.close()
    text = " ".join(read(run.page()).text.split())
    for said in (
        "1 request to 1 host.", "The last line:", "Before: 1 file,", "After: 2,345 files,",
        "1 line of network.jsonl cannot be read",
    ):  # fmt: skip
        assert said in text, said


async def test_a_record_that_was_changed_after_the_run_is_an_alarm(home):
    run = FinishedRun(home)
    run.record(WorkspaceRecord(**looked()), digest="0" * 64)
    await run.close()
    text = read(run.page()).text
    assert "workspace.json is not what the log names" in text
    assert "holds the SHA-256 of this record" not in text


async def test_the_bundle_in_it_verifies_and_an_edited_one_does_not(home):
    run = FinishedRun(home)
    run.printed(NEEDLE.replace("ghp", "[REDACTED]"))
    await run.close()
    page, pin = run.page(), read_pin(home)
    bundle = read(page).scripts[1]
    edited = read(page.replace("sandbox gvisor", "sandbox nothing", 99)).scripts[1]
    assert json.loads(bundle)["entries"] == json.loads(run.bundle)["entries"]
    found = by_page(
        [(bundle.encode(), pin, True), (bundle.encode(), None, True), (edited.encode(), pin, True)]
    )
    assert [said["verdict"] for said in found] == ["INTACT", "UNANCHORED", "TAMPERED"]
    assert found[2]["at"] == 3


async def test_a_log_that_cannot_be_read_still_has_a_dossier(home):
    run = FinishedRun(home)
    run.printed("hello")
    await run.close()
    (run.folder / "audit.db").write_bytes(b"no database")
    text = read(run.page()).text
    assert "The log does not hold" in text
    assert "The log is not in this page" in text
    assert "hello" in text


async def test_a_bundle_over_the_size_is_left_out_and_said(home, monkeypatch):
    monkeypatch.setattr(collect, "MOST_BUNDLE", 100)
    run = FinishedRun(home)
    await run.close()
    reader = read(run.page())
    assert "the log is too long for a page" in reader.text
    assert not [tag for tag, _ in reader.elements if tag == "script"]


async def test_however_many_requests_the_page_opens(home):
    run = FinishedRun(home)
    await run.close()
    story = Story()
    began = time.process_time()
    for number in range(100_000):
        host = f"h{number % 30_000}.test"
        story.request(
            RequestRecord(str(number), "2026-01-01T00:00:00Z", "GET", f"https://{host}/", host, 200)
        )
        data = policy("network", f"GET https://{host}/", "deny", rule=f"r{number}", message="m" * 100)[1]
        story.entry(number + 1, "2026-01-01T00:00:00Z", "policy", data)
    took = time.process_time() - began
    real = collect.Story
    collect.Story = lambda: story
    try:
        page = run.page()
    finally:
        collect.Story = real
    assert len(page) < 1_000_000
    assert took < 10
    text = read(page).text
    assert "100,000 requests" in text
    assert f"… and {100_000 - MOST_REQUESTS:,} more" in text


def test_entries_of_any_shape_are_told(home):
    story = Story()
    for kind in ("policy", "credential", "secret", "ssh", "container", "exec"):
        for data in ({}, {"scope": 1, "action": None, "command": 5}, {"command": [1], "message": {"a": []}}):
            entry = Entry(1, "?", kind, "", data, canonical_json(data), "")
            story.entry(entry.seq, entry.ts, entry.type, entry.data)
