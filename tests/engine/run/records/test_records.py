import msgspec
import pytest

from engine.audit import AuditLog, read_entries, verify_log
from engine.errors import AuditGateClosed
from engine.events import GrantUse, RequestRecord
from engine.home import Home
from engine.run.reading.tail import LogTail, RequestTail
from engine.run.records.output import MAX_LINE
from engine.run.records.records import USAGE, RunRecords

RUN = "run_0123456789ab"
SECRET = "sk-canary-0123456789"


@pytest.fixture
async def kept(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run(RUN))
    notices = []
    async with await AuditLog.open(home, home.run(RUN) / "audit.db") as log:
        records = RunRecords(home, RUN, log, (SECRET,), notices.append)
        yield home, log, records, notices


async def test_output_is_kept_line_by_line_masked_and_in_the_audit_log(kept):
    home, log, records, _ = kept
    await records.output("stdout", b"one\ntw")
    await records.output("stderr", f"leak {SECRET[:9]}".encode())
    await records.output("stdout", b"o\n")
    await records.output("stderr", f"{SECRET[9:]} end\n".encode())
    await records.output("stdout", b"no end")
    await records.close()
    await log.flush()
    lines = [(line.stream, line.line) for line in LogTail(home, RUN).read()]
    assert lines == [
        ("stdout", "one"), ("stdout", "two"), ("stderr", "leak [REDACTED] end"), ("stdout", "no end"),
    ]  # fmt: skip
    entries = read_entries(home.run(RUN) / "audit.db")
    assert [entry.data["line"] for entry in entries] == [line for _, line in lines]


async def test_a_flood_shares_entries_and_loses_nothing(kept):
    home, log, records, _ = kept
    sent = [f"line {n}" for n in range(9000)]
    await records.output("stdout", "\n".join(sent).encode() + b"\n")
    await records.close()
    await log.flush()
    assert [line.line for line in LogTail(home, RUN).read()] == sent
    entries = read_entries(home.run(RUN) / "audit.db")
    assert len(entries) < 20
    assert "\n".join(entry.data["line"] for entry in entries).split("\n") == sent
    assert verify_log(home.run(RUN) / "audit.db").hash_chain_valid


async def test_a_use_is_durable_before_credential_returns_and_counted(kept):
    home, _, records, _ = kept
    await records.credential("github", "inject", "api.github.com")
    (entry,) = read_entries(home.run(RUN) / "audit.db")  # through another connection: it is on disk
    assert entry.data == {"name": "github", "action": "inject", "host": "api.github.com"}
    await records.credential("github", "inject", "github.com")
    await records.close()
    uses = msgspec.json.decode(home.read(home.run(RUN) / USAGE), type=dict[str, GrantUse])
    assert uses["github"].uses == 2


async def test_a_finished_request_is_in_both_files(kept):
    home, log, records, _ = kept
    await records.finished(
        RequestRecord(
            id="1", ts="t", method="GET", url="https://h/", host="h", status_code=200, grant="github"
        )
    )
    await records.denied("evil.test", "GET https://evil.test/", "not-allowed", "no")
    await records.close()
    await log.flush()
    assert [record.id for record in RequestTail(home, RUN).read()] == ["1"]
    network, policy = read_entries(home.run(RUN) / "audit.db")
    assert network.data["credential_used"] == "github"
    assert (policy.data["decision"], policy.data["rule"]) == ("deny", "not-allowed")


async def test_threat_37_a_closed_gate_refuses_credentials_and_is_said_once(kept):
    home, _, records, notices = kept
    (home.run(RUN) / "audit.db").unlink()  # as if the disk were gone: the writer notices
    for _ in range(2):
        with pytest.raises(AuditGateClosed):
            await records.credential("github", "inject", "api.github.com")
    await records.output("stdout", b"the agent goes on\n")
    await records.close()
    assert len(notices) == 1
    assert "no credential" in notices[0]
    assert [line.line for line in LogTail(home, RUN).read()] == ["the agent goes on"]


@pytest.mark.parametrize("before", range(MAX_LINE - len(SECRET) - 2, MAX_LINE + 3))
@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_value_across_the_cut_of_a_long_line_is_masked(kept, before, end):
    home, _, records, _ = kept
    text = ("x" * before + SECRET + "y" * MAX_LINE).encode() + end
    for start in range(0, len(text), 4099):
        await records.output("stdout", text[start : start + 4099])
    await records.close()
    kept_text = "".join(line.line for line in LogTail(home, RUN).read())
    assert kept_text == "x" * before + "[REDACTED]" + "y" * MAX_LINE


def answer(status, **more):
    return RequestRecord(
        id="req_1", ts="2026-01-01T00:00:00Z", method="GET", url="https://api.github.com/user",
        host="api.github.com", grant="github", status_code=status, **more,
    )  # fmt: skip


async def test_a_refused_credential_is_said_once_until_another_is_taken(kept):
    home, log, records, notices = kept
    await records.credential("github", "inject", "api.github.com")
    for _ in range(2):
        await records.finished(answer(401, refused=True))
    assert notices == [
        "api.github.com refused the credential of grant github (401); replace it: moat grant github"
    ]
    assert records._usage["github"].refused_at
    await records.finished(answer(404))
    assert records._usage["github"].refused_at
    await records.renewed("github", ("ghp_canaryNew0123456789",))
    await records.finished(answer(200))
    assert not records._usage["github"].refused_at
    await records.finished(answer(401, refused=True))
    assert len(notices) == 2
    await records.output("stdout", f"{SECRET} ghp_canaryNew0123456789\n".encode())
    await records.close()
    await log.flush()
    (line,) = LogTail(home, RUN).read()
    assert line.line == "[REDACTED] [REDACTED]"
    stored = msgspec.json.decode(home.read(home.run(RUN) / USAGE), type=dict[str, GrantUse])
    assert stored["github"].refused_at
