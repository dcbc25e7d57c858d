"""Grants as a person manages them, on damaged files and many runs."""

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from support.ssh_session import blob_of

from engine.aws import check_aws_role
from engine.errors import UsageError
from engine.events import GrantState, GrantUse, RunInfo, RunState
from engine.granting import (
    list_grants,
    list_providers,
    revoke_grant,
    save_aws_grant,
    save_grant,
    save_ssh_grant,
)
from engine.home import Home
from engine.run.metadata import write_metadata
from engine.ssh_agent import SshOffer, shown_key

TOKEN = "ghp_canary0123456789012345678901234567"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    return Home(tmp_path / "home")


def used(home, run_id, when, **more):
    home.ensure_dir(home.run(run_id))
    write_metadata(home, RunInfo(id=run_id, name="n", created_at=when, state=RunState.EXITED, **more))
    home.write(home.run(run_id) / "usage.json", msgspec.json.encode({"github": GrantUse(when, 1)}))


def test_a_damaged_file_is_listed_as_such_beside_the_good_ones(home):
    save_grant(home, "github", TOKEN, source="stdin", account="me")
    save_grant(home, "openai", "sk-" + "x" * 40, source="stdin")
    path = home.credentials / "openai.enc"
    path.write_bytes(b"short")
    found = {grant.provider: grant for grant in list_grants(home)}
    assert found["github"].state is GrantState.VALID
    assert found["github"].account == "me"
    assert found["openai"].state is GrantState.UNREADABLE
    assert "openai.enc" in found["openai"].problem
    assert TOKEN not in repr(found)
    assert revoke_grant(home, "openai")  # what cannot be read can be taken away
    assert not revoke_grant(home, "openai")


def test_one_stored_by_another_moat_is_listed(home):
    save_grant(home, "github", TOKEN, source="stdin")
    (home.credentials / "github.enc").rename(home.credentials / "novel.enc")
    (grant,) = list_grants(home)
    assert (grant.provider, grant.state, grant.title) == ("novel", GrantState.UNREADABLE, "")


def test_the_last_use_is_the_latest_of_the_profiles_own_runs(home):
    save_grant(home, "github", TOKEN, source="stdin")
    save_grant(home, "github", TOKEN, source="stdin", profile="work")
    used(home, "run_aaaaaaaaaaaa", "2026-01-02T00:00:00Z")
    used(home, "run_bbbbbbbbbbbb", "2026-01-01T00:00:00Z")
    used(home, "run_cccccccccccc", "2026-01-03T00:00:00Z", profile="work")
    used(home, "run_dddddddddddd", "2026-01-04T00:00:00Z")
    home.write(home.run("run_dddddddddddd") / "usage.json", b"{torn")
    by_profile = {grant.profile: grant.last_used_run for grant in list_grants(home, None)}
    assert by_profile == {"": "run_aaaaaaaaaaaa", "work": "run_cccccccccccc"}


def test_a_grant_that_the_service_refused_is_so_until_it_is_replaced(home):
    save_grant(home, "github", TOKEN, source="stdin")
    used(home, "run_aaaaaaaaaaaa", "2026-01-01T00:00:00Z")
    refused = {"github": GrantUse("2026-01-01T00:00:00Z", 1, refused_at="2999-01-01T00:00:00Z")}
    home.write(home.run("run_aaaaaaaaaaaa") / "usage.json", msgspec.json.encode(refused))
    (grant,) = list_grants(home)
    assert (grant.state, "moat grant github" in grant.problem) == (GrantState.REFUSED, True)
    refused = {"github": GrantUse("2026-01-01T00:00:00Z", 1, refused_at="2026-01-01T00:00:00Z")}
    home.write(home.run("run_aaaaaaaaaaaa") / "usage.json", msgspec.json.encode(refused))
    (grant,) = list_grants(home)
    assert (grant.state, grant.problem) == (GrantState.VALID, "")


def test_another_role_from_the_form_keeps_what_narrows_the_old_one(home):
    first = "arn:aws:iam::123456789012:role/first"
    save_aws_grant(home, check_aws_role(first, region="eu-west-1", policy='{"Statement":[]}'))
    saved = save_grant(home, "aws", first.replace("first", "second"), source="prompt")
    assert saved.account.endswith("role/second")
    assert saved.title == "AWS (eu-west-1, 15 min, with a session policy)"
    assert "aws" in [item.name for item in list_providers(home)]
    with pytest.raises(UsageError, match="not the ARN"):
        save_grant(home, "aws", "AKIAIOSFODNN7EXAMPLE", source="prompt")


def test_how_a_role_and_a_host_were_granted_can_be_seen_and_named_fields_are_wrong(home):
    role = check_aws_role(
        "arn:aws:iam::123456789012:role/agent", session_duration="1h", external_id="team-7", policy="{}"
    )
    settings = save_aws_grant(home, role).settings
    assert settings == {
        "region": "us-east-1",
        "session_duration": "3600s",
        "external_id": "team-7",
        "policy": "{}",
    }
    key = blob_of(ed25519.Ed25519PrivateKey.generate())
    shown = shown_key(key)
    offer = SshOffer("h.test", 2222, (shown,), True, (shown,), (base64.b64encode(key).decode(),))
    granted = save_ssh_grant(home, offer, shown.fingerprint)
    assert granted.settings == {"port": "2222", "host_keys": f"ssh-ed25519 {shown.fingerprint}"}
    for field, text in (("region", "x"), ("session_duration", "1m"), ("external_id", "!"), ("profile", "\n")):
        with pytest.raises(UsageError) as caught:
            check_aws_role(role.arn, **{field: text})
        assert caught.value.field == field
