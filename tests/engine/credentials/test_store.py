"""The store: what is put comes back, what was tampered with does not, and no value lies about."""

from __future__ import annotations

import base64
import json
import os
import stat
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rich.console import Console
from rich.pretty import Pretty

from engine.credentials import Credential, CredentialStore, KeySource, SealedFile, profiles
from engine.credentials.sealing import seal
from engine.errors import CredentialError, CredentialMissing, CredentialUnreadable, HomeError
from engine.home import Home

CANARY = "canary-5e1f-secret-value"


def credential(provider: str = "github", token: str = CANARY) -> Credential:
    return Credential(
        provider=provider,
        token=token,
        created_at="2026-01-12T10:00:00Z",
        expires_at="2027-01-12T10:00:00.5Z",
        scopes=("repo", "user"),
        metadata={"account": "octocat"},
    )


@pytest.fixture
def keys(home: Home) -> KeySource:
    return KeySource(home, {"MOAT_KEYRING_BACKEND": "file"})


@pytest.fixture
def store(home: Home, keys: KeySource) -> CredentialStore:
    return CredentialStore(home, keys=keys)


def write_v1(store: CredentialStore, home: Home, name: str, record: object, nonce: bytes = b"n" * 12) -> None:
    """As the Go Moat writes: no associated data."""
    box = nonce + AESGCM(store.keys.load_or_create()).encrypt(nonce, json.dumps(record).encode(), None)
    home.write(home.credentials / name, box)


def test_round_trip_listing_and_removal(store: CredentialStore) -> None:
    assert store.stored() == []
    assert not store.exists("github")
    for name in ("openai", "github", "ssh:github.com"):
        store.put(credential(name))
    assert store.get("github") == credential("github")
    assert store.stored() == ["github", "openai", "ssh:github.com"]
    assert store.exists("ssh:github.com")
    assert store.delete("github") is True
    assert store.delete("github") is False
    assert store.stored() == ["openai", "ssh:github.com"]


def test_missing_says_how_to_store_one(store: CredentialStore, home: Home, keys: KeySource) -> None:
    with pytest.raises(CredentialMissing, match=r"stored for github.*moat grant github"):
        store.get("github")
    with pytest.raises(CredentialMissing, match="moat grant github --profile work"):
        CredentialStore(home, "work", keys).get("github")
    assert not home.root.exists(), "asking makes nothing, least of all a key"


def test_replacing_is_whole(store: CredentialStore, home: Home) -> None:
    store.put(credential(token="old-value"))
    store.put(credential(token="new-value"))
    assert store.get("github").token == "new-value"
    assert [path.name for path in home.credentials.iterdir()] == ["github.enc"]


def test_a_failed_replacement_leaves_the_old_one(
    store: CredentialStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(credential(token="old-value"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HomeError, match="disk is full"):
            store.put(credential(token=CANARY))
    assert store.get("github").token == "old-value"
    assert [path.name for path in home.credentials.iterdir()] == ["github.enc"]


def test_profiles_are_apart(store: CredentialStore, home: Home, keys: KeySource) -> None:
    work = CredentialStore(home, "work", keys)
    work.put(credential(token="work-value"))
    assert store.stored() == []
    assert work.get("github").token == "work-value"
    assert (home.credentials / "profiles" / "work" / "github.enc").exists()
    CredentialStore(home, "Other_1", keys).put(credential())
    home.ensure_dir(home.credentials / "profiles" / ".odd")
    assert profiles(home) == ["Other_1", "work"]
    assert store.stored() == [], "the folder of profiles is no provider"


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        "",
        ".",
        "/etc/passwd",
        "a/b",
        "GitHub",
        "a b",
        "a\0",
        "a\n",
        "x" * 300,
        "ssh:",
        ":x",
        "a%3Ab",
    ],
)
def test_names_that_could_leave_the_store_are_refused(store: CredentialStore, home: Home, name: str) -> None:
    for call in (store.get, store.delete, store.exists, lambda n: store.put(credential(n))):
        with pytest.raises(CredentialError, match="not a provider name"):
            call(name)
    assert not home.root.exists()


@pytest.mark.parametrize("name", ["../x", ".", "a/b", "-a", "a.b", "a\n", "x" * 65])
def test_profile_names_are_checked(home: Home, name: str) -> None:
    with pytest.raises(CredentialError, match="not a profile name"):
        CredentialStore(home, name)


@pytest.mark.parametrize("mask", [0, 0o777, 0o022])
def test_modes_hold_whatever_the_umask(home: Home, keys: KeySource, mask: int) -> None:
    before = os.umask(mask)
    try:
        CredentialStore(home, "work", keys).put(credential())
    finally:
        os.umask(before)
    found = {str(p.relative_to(home.root)): stat.S_IMODE(p.stat().st_mode) for p in home.root.rglob("*")}
    assert found == {
        "credentials": 0o700,
        "credentials/profiles": 0o700,
        "credentials/profiles/work": 0o700,
        "credentials/profiles/work/github.enc": 0o600,
        "encryption.key": 0o600,
        "key.lock": 0o600,
    }


def test_linked_places_are_refused(store: CredentialStore, home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    home.ensure_dir(home.root)
    home.credentials.symlink_to(tmp_path / "elsewhere")
    calls = (
        store.get,
        store.delete,
        store.exists,
        lambda _: store.stored(),
        lambda n: store.put(credential(n)),
    )
    for call in calls:
        with pytest.raises(HomeError, match="symbolic link"):
            call("github")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_every_flipped_byte_is_noticed_and_named(store: CredentialStore, home: Home) -> None:
    store.put(credential())
    path = home.credentials / "github.enc"
    whole = path.read_bytes()
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        with pytest.raises(CredentialUnreadable, match=r"github\.enc cannot be opened"):
            store.get("github")
    path.write_bytes(whole)
    assert store.get("github").token == CANARY


@pytest.mark.parametrize("length", [0, 1, 12, 27, 28, 60])
def test_a_cut_file_is_noticed(store: CredentialStore, home: Home, length: int) -> None:
    store.put(credential())
    path = home.credentials / "github.enc"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CredentialUnreadable, match=r"github\.enc"):
        store.get("github")
    assert store.exists("github")
    assert store.stored() == ["github"]
    assert store.delete("github")


def test_files_swapped_between_providers_or_profiles_are_noticed(
    store: CredentialStore, home: Home, keys: KeySource
) -> None:
    store.put(credential("github"))
    store.put(credential("openai"))
    work = CredentialStore(home, "work", keys)
    work.put(credential("github", "other"))
    github, openai = home.credentials / "github.enc", home.credentials / "openai.enc"
    in_work = home.credentials / "profiles" / "work" / "github.enc"
    boxes = {path: path.read_bytes() for path in (github, openai, in_work)}
    for path, other in ((github, openai), (openai, github), (github, in_work), (in_work, github)):
        path.write_bytes(boxes[other])
        with pytest.raises(CredentialUnreadable, match=str(path)):
            (work if path == in_work else store).get(path.stem)
        path.write_bytes(boxes[path])


def test_another_key_opens_nothing(store: CredentialStore, home: Home) -> None:
    store.put(credential())
    home.write(home.key_file, base64.b64encode(b"o" * 32))
    fresh = CredentialStore(home, keys=KeySource(home, {"MOAT_KEYRING_BACKEND": "file"}))
    with pytest.raises(CredentialUnreadable, match="sealed with another key"):
        fresh.get("github")


def test_files_of_the_go_moat_are_read(store: CredentialStore, home: Home) -> None:
    write_v1(
        store,
        home,
        "github.enc",
        {
            "provider": "github",
            "token": CANARY,
            "scopes": None,
            "expires_at": "0001-01-01T00:00:00Z",
            "created_at": "2026-01-12T11:00:00.123456789+01:00",
            "unknown": 1,
        },
    )
    assert store.get("github") == Credential("github", CANARY, "2026-01-12T10:00:00.123456Z")


def test_swapped_files_of_the_go_moat_are_noticed(store: CredentialStore, home: Home) -> None:
    write_v1(store, home, "github.enc", {"provider": "openai", "token": CANARY})
    with pytest.raises(CredentialUnreadable, match=r"github\.enc holds the credential of another provider"):
        store.get("github")


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"provider": "github"},
        {"provider": "github", "token": ""},
        {"provider": "github", "token": [CANARY]},
        {"provider": "github", "token": CANARY, "expires_at": "soon"},
        {"provider": "github", "token": CANARY, "created_at": "2026-01-12T10:00:00"},
        {"provider": "github", "token": CANARY, "metadata": {"a": 1}},
    ],
)
def test_a_sealed_record_that_makes_no_sense_is_unreadable(
    store: CredentialStore, home: Home, record: object
) -> None:
    write_v1(store, home, "github.enc", record)
    with pytest.raises(CredentialUnreadable, match=r"github\.enc cannot be used") as caught:
        store.get("github")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_record_on_disk_has_the_shape_both_read(store: CredentialStore, home: Home) -> None:
    store.put(Credential("github", CANARY, "2026-01-12T10:00:00Z"))
    box = (home.credentials / "github.enc").read_bytes()
    data = AESGCM(store.keys.load()).decrypt(box[:12], box[12:], b"moat:v2:/github")
    assert data.decode() == (
        f'{{"provider":"github","token":"{CANARY}","expires_at":"0001-01-01T00:00:00Z",'
        '"created_at":"2026-01-12T10:00:00Z"}'
    )


def test_nonces_are_never_reused(store: CredentialStore, home: Home) -> None:
    nonces = set()
    for _ in range(20):
        store.put(credential())
        nonces.add((home.credentials / "github.enc").read_bytes()[:12])
    assert len(nonces) == 20


def test_the_value_is_in_no_file_and_no_representation(store: CredentialStore, home: Home) -> None:
    store.put(credential())
    held = store.get("github")
    shown = [repr(held), str(held), f"{held}", repr([held]), repr(store)]
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(Pretty(held))
    shown.append(console.export_text())
    assert all(CANARY not in text and "octocat" not in text for text in shown), shown
    (home.credentials / "github.enc").write_bytes(b"x" * 80)
    with pytest.raises(CredentialUnreadable) as caught:
        store.get("github")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    store.put(credential())
    for form in (CANARY.encode(), base64.b64encode(CANARY.encode())[:20], CANARY.encode().hex().encode()):
        for path in home.root.rglob("*"):
            assert form not in path.name.encode()
            assert path.is_dir() or form not in path.read_bytes(), path


def test_a_sealed_file_opens_only_for_its_label(home: Home, keys: KeySource) -> None:
    sealed = SealedFile(home, keys)
    path = home.heads / "signing.key.enc"
    with pytest.raises(FileNotFoundError):
        sealed.read(path, "signing")
    sealed.write(path, "signing", CANARY.encode())
    assert sealed.read(path, "signing") == CANARY.encode()
    assert CANARY.encode() not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CredentialUnreadable, match=r"signing\.key\.enc"):
        sealed.read(path, "other")
    path.write_bytes(seal(keys.load(), b"x", b"moat:v2:/github"))
    with pytest.raises(CredentialUnreadable):
        sealed.read(path, "signing")


def test_a_sealed_file_lies_where_a_lost_key_is_noticed(home: Home, keys: KeySource) -> None:
    sealed = SealedFile(home, keys)
    for path in (home.heads / "signing.key", home.runs / "run_1" / "x.enc"):
        with pytest.raises(ValueError, match="outside runs"):
            sealed.write(path, "x", b"x")
