"""Where the key is, and that there is never a second one."""

from __future__ import annotations

import base64
import multiprocessing
import os
import stat
import threading
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backends import fail, null
from keyring.errors import KeyringLocked, NoKeyringError

from engine.credentials import Credential, CredentialStore, KeySource, SealedFile
from engine.credentials.keychain import Keychain
from engine.errors import HomeError, KeychainError
from engine.home import Home

FILE = {"MOAT_KEYRING_BACKEND": "file"}
ENTRY = ("moat", "encryption-key")


def put_file(home: Home, text: bytes, mode: int = 0o600) -> None:
    home.write(home.key_file, text)
    os.chmod(home.key_file, mode)


def seal_something(home: Home) -> None:
    home.write(home.credentials / "github.enc", b"x" * 60)


def test_a_key_is_made_once_and_kept_in_the_keychain(home: Home, keychain: Any) -> None:
    keys = KeySource(home, {})
    key = keys.load_or_create()
    assert len(key) == 32
    assert base64.b64decode(keychain.entries[ENTRY]) == key
    assert not home.key_file.exists()
    assert keys.notice == ""
    assert KeySource(home, {}).load() == key
    assert KeySource(home, {}).load_or_create() == key
    assert KeySource(home, {}).where().place == "keychain"


def test_the_service_name_comes_from_the_environment(home: Home, keychain: Any) -> None:
    KeySource(home, {"MOAT_KEYRING_SERVICE": "other"}).load_or_create()
    assert list(keychain.entries) == [("other", "encryption-key")]


@pytest.mark.parametrize("substitute", [fail.Keyring(), null.Keyring()], ids=["fail", "null"])
def test_without_a_keychain_the_file_serves_and_it_is_said_once(home: Home, substitute: Any) -> None:
    keyring.set_keyring(substitute)
    keys = KeySource(home, {})
    key = keys.load_or_create()
    assert str(home.key_file) in keys.notice
    assert "\n" not in keys.notice
    assert base64.b64decode(home.key_file.read_bytes()) == key
    again = KeySource(home, {})
    assert again.load_or_create() == key
    assert again.notice == ""
    assert again.where().place == "file"


def test_a_keychain_that_forgets_is_none(home: Home, keychain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keychain, "set_password", lambda *_: None)
    key = KeySource(home, {}).load_or_create()
    assert base64.b64decode(home.key_file.read_bytes()) == key


def test_the_file_can_be_forced_and_then_the_keychain_is_not_asked(home: Home, keychain: Any) -> None:
    key = KeySource(home, FILE).load_or_create()
    assert KeySource(home, FILE).load() == key
    assert KeySource(home, {}).load() == key, "a key file wins wherever it came from"
    assert keychain.calls == 0


@pytest.mark.parametrize("mask", [0, 0o777])
def test_the_key_file_is_private_whatever_the_umask(home: Home, mask: int) -> None:
    before = os.umask(mask)
    try:
        KeySource(home, FILE).load_or_create()
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_can_reach_is_refused(home: Home, mode: int) -> None:
    put_file(home, base64.b64encode(b"k" * 32), mode)
    keys = KeySource(home, {})
    for call in (keys.load, keys.load_or_create):
        with pytest.raises(KeychainError, match=f"mode {mode:04o}.*chmod 600"):
            call()
    assert stat.S_IMODE(home.key_file.stat().st_mode) == mode, "not quietly narrowed: it may have been read"
    assert "chmod 600" in keys.where().problem


def test_a_linked_key_file_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(base64.b64encode(b"k" * 32))
    home.ensure_dir(home.root)
    home.key_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="symbolic link"):
        KeySource(home, {}).load()


@pytest.mark.parametrize(
    "data", [b"k" * 32, base64.b64encode(b"k" * 32), base64.b64encode(b"k" * 32) + b"\n"]
)
def test_key_files_of_both_kinds_are_read(home: Home, data: bytes) -> None:
    put_file(home, data)
    assert KeySource(home, {}).load() == b"k" * 32


@pytest.mark.parametrize("data", [b"", b"short", base64.b64encode(b"k" * 31), b"\xff" * 44])
def test_a_damaged_key_file_is_never_replaced(home: Home, data: bytes) -> None:
    put_file(home, data)
    with pytest.raises(KeychainError, match="is not a key"):
        KeySource(home, {}).load_or_create()
    assert home.key_file.read_bytes() == data


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(b"k" * 32).decode(),
        "go-keyring-base64:" + base64.b64encode(base64.b64encode(b"k" * 32)).decode(),
        "go-keyring-base64:" + base64.b64encode(b"k" * 32).decode(),
    ],
    ids=["plain", "as go-keyring on macOS", "prefixed once"],
)
def test_entries_of_the_go_moat_are_read(home: Home, keychain: Any, text: str) -> None:
    keychain.entries[ENTRY] = text
    assert KeySource(home, {}).load() == b"k" * 32


def test_a_foreign_entry_is_never_written_over(home: Home, keychain: Any) -> None:
    keychain.entries[ENTRY] = "canary-foreign-text"
    with pytest.raises(KeychainError, match="is not a key") as caught:
        KeySource(home, {}).load_or_create()
    assert "canary" not in str(caught.value)
    assert keychain.entries[ENTRY] == "canary-foreign-text"
    assert not home.key_file.exists()


def test_load_never_makes_a_key(home: Home, keychain: Any) -> None:
    with pytest.raises(KeychainError, match="no encryption key yet"):
        KeySource(home, {}).load()
    assert keychain.entries == {}
    assert not home.root.exists()


@pytest.mark.parametrize(
    "failure", [KeyringLocked("locked by test"), OSError("dbus is gone"), RuntimeError()]
)
@pytest.mark.parametrize(
    "where", ["credentials/github.enc", "credentials/profiles/work/x.enc", "heads/k.enc"]
)
def test_a_failing_keychain_never_mints_while_anything_is_sealed(
    home: Home, keychain: Any, failure: Exception, where: str
) -> None:
    home.write(home.root / where, b"sealed")
    keychain.failure = failure
    for call in (KeySource(home, {}).load, KeySource(home, {}).load_or_create):
        with pytest.raises(KeychainError, match="keychain could not be read"):
            call()
    assert not home.key_file.exists()
    assert KeySource(home, {}).where().problem


@pytest.mark.parametrize("kind", ["empty", "none", "forced"])
def test_a_lost_key_is_an_error_and_not_a_new_key(home: Home, keychain: Any, kind: str) -> None:
    seal_something(home)
    if kind == "none":
        keyring.set_keyring(fail.Keyring())
    environ = FILE if kind == "forced" else {}
    for call in (KeySource(home, environ).load, KeySource(home, environ).load_or_create):
        with pytest.raises(KeychainError, match=r"the key that sealed .*github\.enc"):
            call()
    assert keychain.entries == {}
    assert not home.key_file.exists()


def test_a_failing_keychain_with_nothing_sealed_leads_to_the_file(home: Home, keychain: Any) -> None:
    keychain.failure = KeyringLocked("locked by test")
    keys = KeySource(home, {})
    key = keys.load_or_create()
    assert "keychain could not be read" in keys.notice
    keychain.failure = None
    assert KeySource(home, {}).load() == key, "and stays there when the keychain is back"


def test_the_backend_that_says_there_is_none(home: Home, keychain: Any) -> None:
    keychain.failure = NoKeyringError("none")
    assert KeySource(home, {}).load_or_create()
    assert home.key_file.exists()


def test_a_keychain_that_waits_for_a_prompt_is_given_up(
    home: Home, keychain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(keychain, "get_password", lambda *_: released.wait(30) and None)
    seal_something(home)
    with pytest.raises(KeychainError, match=r"did not answer within 0\.05 s"):
        KeySource(home, {}, keychain=Keychain({}, timeout=0.05)).load()
    released.set()


def test_a_failing_write_does_not_repeat_the_key(home: Home, keychain: Any, monkeypatch: Any) -> None:
    def leak(service: str, user: str, text: str) -> None:
        raise OSError(f"cannot store {text}")

    monkeypatch.setattr(keychain, "set_password", leak)
    with pytest.raises(KeychainError, match="could not be written") as caught:
        Keychain({}).write("canary-key")
    assert "canary" not in str(caught.value)


def test_what_cannot_be_searched_is_not_taken_for_empty(
    home: Home, keychain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.ensure_dir(home.credentials)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path) == str(home.credentials):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(KeychainError, match="Permission denied"):
        KeySource(home, {}).load_or_create()
    assert keychain.entries == {}


def test_the_lock_is_waited_for_with_a_limit(home: Home) -> None:
    holder = KeySource(home, FILE)
    with holder._locked(), pytest.raises(KeychainError, match="still making"):
        KeySource(home, FILE, lock_timeout=0.05).load_or_create()


def _mint(root: str, gate: Any, out: Any) -> None:
    gate.wait(20)
    out.put(KeySource(Home(Path(root)), FILE).load_or_create())


def test_two_processes_at_once_end_with_one_key(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    gate, out = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_mint, args=(str(home.root), gate, out)) for _ in range(3)]
    for worker in workers:
        worker.start()
    keys = {out.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join(30)
    assert keys == {KeySource(home, FILE).load()}


def test_threads_with_a_keychain_end_with_one_key(home: Home, keychain: Any) -> None:
    gate = threading.Barrier(8)
    found: list[bytes] = []

    def mint() -> None:
        gate.wait(10)
        found.append(KeySource(home, {}).load_or_create())

    threads = [threading.Thread(target=mint) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_where_makes_nothing(home: Home) -> None:
    assert KeySource(home, {}).where().place == "none"
    assert KeySource(home, FILE).where().place == "none"
    assert not home.root.exists()


def test_no_repr_shows_the_key(home: Home) -> None:
    put_file(home, base64.b64encode(b"k" * 32))
    keys = KeySource(home, {})
    keys.load()
    store = CredentialStore(home, keys=keys)
    store.put(Credential(provider="github", token="t", created_at=""))
    assert "kkkk" not in repr(keys) + repr(store) + repr(SealedFile(home, keys)) + repr(keys.where())
