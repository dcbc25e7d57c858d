"""Threats 33, 34 and 39 on every kind of grant and secret."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.kinds import PROVIDERS, store_all, values

from engine.aws import AWS, check_aws_role
from engine.config import AgentConfig, parse_grant
from engine.credentials import CredentialStore
from engine.errors import ApprovalNeeded, CredentialUnreadable, HomeError, MoatError
from engine.events import GrantState
from engine.granting import list_grants, save_aws_grant, save_grant
from engine.grants import load_providers
from engine.home import Home
from engine.run.approval import approve
from engine.run.granted.aws_access import open_role
from engine.run.granted.injections import open_grants
from engine.ssh_agent import Mapping, SshMappings

SEALED = (*PROVIDERS, AWS)
SSH = "ssh:git.test"
SECRETS = {"DB": "op://v/i/f", "KEY": "ssm:///prod/key", "HOSTS_OWN": "env://HOME"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    before = os.umask(0)
    try:
        home = Home(tmp_path / "home")
        store_all(home)
        save_aws_grant(home, check_aws_role("arn:aws:iam::123456789012:role/agent"))
        SshMappings(home).put(Mapping("git.test", "SHA256:" + "A" * 43, "2026-01-01T00:00:00Z"))
    finally:
        os.umask(before)
    return home


def file_of(home: Home, name: str) -> Path:
    return home.credentials / ("ssh.json" if name == SSH else f"{name}.enc")


def use(home: Home, name: str) -> None:
    """As a run would."""
    store = CredentialStore(home)
    if name == AWS:
        open_role(store, (AWS,))
    elif name == SSH:
        SshMappings(home).all()
    else:
        open_grants(store, [name], load_providers(home))


def states(home: Home) -> dict[str, GrantState]:
    return {grant.provider: grant.state for grant in list_grants(home)}


def test_threat_33_modes_hold_under_umask_000(home):
    assert states(home) == dict.fromkeys((*SEALED, SSH), GrantState.VALID)
    for path in [home.root, *home.root.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert not path.is_file() or not any(value.encode() in path.read_bytes() for value in values()), path


@pytest.mark.parametrize("name", [*SEALED, SSH])
def test_threat_33_a_link_in_its_place_is_refused(home, tmp_path, name):
    path = file_of(home, name)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="symbolic link"):
        use(home, name)
    listed = {grant.provider: grant for grant in list_grants(home)}
    (bad,) = [grant for grant in listed.values() if grant.state is not GrantState.VALID]
    assert (bad.state, path.name in bad.problem) == (GrantState.UNREADABLE, True)
    assert len(listed) == len(SEALED) + 1


@pytest.mark.parametrize(
    "name", ["../x", "..", "a/b", "github/../x", "github\0", "GitHub", "ssh:../x", "%2e%2e", ""]
)
def test_threat_33_a_name_that_climbs_is_rejected(home, name):
    before = sorted(home.root.rglob("*"))
    with pytest.raises(MoatError):
        save_grant(home, name, "canary-value-0123", source="stdin")
    with pytest.raises(MoatError):
        open_grants(CredentialStore(home), [name], load_providers(home))
    assert sorted(home.root.rglob("*")) == before


@pytest.mark.parametrize("name", SEALED)
def test_threat_34_a_flipped_bit_and_anothers_record_fail_and_name_the_file(home, name):
    path = file_of(home, name)
    whole = path.read_bytes()
    other = file_of(home, SEALED[SEALED.index(name) - 1]).read_bytes()
    for place in (0, 12, len(whole) // 2, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        for damaged in (bytes(flipped), other):
            path.write_bytes(damaged)
            with pytest.raises(CredentialUnreadable, match=path.name) as raised:
                use(home, name)
            assert f"moat grant {name}" in raised.value.remedy
            assert states(home)[name] is GrantState.UNREADABLE
    path.write_bytes(whole)
    use(home, name)


def test_threat_34_records_of_another_profile_do_not_open(home):
    work = home.credentials / "profiles" / "work"
    home.ensure_dir(work)
    for name in SEALED:
        home.write(work / f"{name}.enc", file_of(home, name).read_bytes())
    found = {grant.provider: grant.state for grant in list_grants(home, "work")}
    assert found == dict.fromkeys(SEALED, GrantState.UNREADABLE)


@pytest.mark.parametrize("name", [*SEALED, SSH])
def test_threat_39_no_grant_is_added_or_widened_unasked(tmp_path, name):
    home, workspace = Home(tmp_path / "home"), tmp_path
    steps = [("", name)]
    if name not in (SSH, AWS):
        steps += [(f"{name};max_requests=1", f"{name};max_requests=2"), (f"{name};methods=GET", name)]
        steps += [
            (f"{name};paths=/a", f"{name};paths=/a|/b"),
            (f"{name};expires_in=1h", f"{name};expires_in=2h"),
        ]
        steps += [(f"{name}:{scope}", name) for scope in PROVIDERS[name].scopes]
    for before, after in steps:
        approve(home, workspace, AgentConfig(grants=(before,) if before else ()), anything=True)
        with pytest.raises(ApprovalNeeded) as raised:
            approve(home, workspace, AgentConfig(grants=(str(parse_grant(after)),)))
        assert raised.value.asks == (f"grant {parse_grant(after)}",)


@pytest.mark.parametrize("variable", SECRETS)
def test_threat_39_no_secret_is_added_or_changed_unasked(tmp_path, variable):
    home = Home(tmp_path / "home")
    approve(home, tmp_path, AgentConfig(secrets={variable: "env://LANG"}), anything=True)
    with pytest.raises(ApprovalNeeded) as raised:
        approve(home, tmp_path, AgentConfig(secrets={variable: SECRETS[variable]}))
    assert raised.value.asks == (f"secret {SECRETS[variable]} as {variable}",)
