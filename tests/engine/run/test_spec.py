"""What a person does not give, although the workspace asks for it."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.home import Home
from engine.run.approval import asks_of
from engine.run.request import RunRequest
from engine.run.spec import settle


@pytest.fixture
def asking(tmp_path):
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "agent.yaml").write_text("grants: [github, openai]\ncommand: npm test\n")
    return RunRequest(workspace=str(workspace), grants=("linear",))


def settled(tmp_path, asked, **more):
    import msgspec

    return settle(Home(tmp_path / "home"), msgspec.structs.replace(asked, **more))


def test_a_grant_can_be_left_out_and_is_not_asked_about_either(tmp_path, asking):
    assert settled(tmp_path, asking).grants == ("github", "openai", "linear")
    spec = settled(tmp_path, asking, without_grants=("github",))
    assert spec.grants == ("openai", "linear")
    assert asks_of(spec.workspace, spec.config).grants == ("openai",)


def test_a_grant_cannot_be_given_and_left_out(tmp_path, asking):
    with pytest.raises(UsageError, match="linear"):
        settled(tmp_path, asking, without_grants=("linear",))


async def test_what_was_asked_for_is_kept_for_the_next_time_without_values(one_run):
    run = one_run(
        env={"TOKEN": "s3cr3t-value"},
        secrets={"KEY": "env://NAME"},
        mounts=(".:/data:ro",),
        allow_hosts=("pypi.org",),
        without_grants=("github",),
        connect_to=("a.test:443:127.0.0.1:8443",),
    )
    run.begin()
    await run.at("wait")
    run.engine.end(0)
    info = await run.result()
    assert (info.env, info.mounts, info.allow_hosts) == (("TOKEN",), (".:/data:ro",), ("pypi.org",))
    assert info.secrets == {"KEY": "env://NAME"}
    assert (info.without_grants, info.connect_to) == (("github",), ("a.test:443:127.0.0.1:8443",))
    assert b"s3cr3t" not in (run.home.run(run.id) / "metadata.json").read_bytes()
