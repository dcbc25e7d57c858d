"""The checks that need no Docker: Python, clock, encryption key, certificate authority, own providers."""

from __future__ import annotations

import contextlib
import platform
import stat
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509

from engine.doctor.docker_engine import EngineTrouble, ask_engine
from engine.doctor.machine import Machine
from engine.doctor.results import CheckResult, CheckState
from engine.errors import ConfigError, MoatError
from engine.home import Home

MIN_PYTHON = (3, 12)
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
MAX_SKEW = timedelta(seconds=60)  # more than a minute apart, and tokens and certificates begin to fail


class KeyLocation(Protocol):
    """engine.credentials.KeyLocation. place: "keychain", "file" or "none" (not made yet)."""

    @property
    def place(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def problem(self) -> str: ...


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> CheckResult:
    said = f"Python {'.'.join(map(str, version))} ({platform.python_implementation()}, {sys.executable})"
    if version[:2] < MIN_PYTHON:
        return CheckResult(
            "python", "Python", CheckState.FAIL, f"{said} is too old", "Install Python 3.12 or newer."
        )
    return CheckResult("python", "Python", CheckState.OK, said)


def judge_clock(
    now: datetime, *, engine: datetime | None = None, written: datetime | None = None
) -> CheckResult:
    """Is `now` believable? engine: the Docker engine's clock; written: when a file here was last written."""
    remedy = "Set the clock: sudo timedatectl set-ntp true, or sudo date -u -s '…'."
    if now < EARLIEST:
        return _clock(
            CheckState.FAIL, f"says {now:%Y-%m-%d %H:%M} UTC, years behind: certificates will fail", remedy
        )
    if written is not None and written - now > timedelta(days=1):
        return _clock(
            CheckState.FAIL, f"says {now:%Y-%m-%d}, but a file here was written on {written:%Y-%m-%d}", remedy
        )
    if engine is not None and abs(engine - now) > MAX_SKEW:
        apart = abs(int((engine - now).total_seconds()))
        return _clock(
            CheckState.WARN, f"is {apart} s away from the Docker engine's clock", f"{remedy} Restart Docker."
        )
    return _clock(CheckState.OK, f"{now:%Y-%m-%d %H:%M} UTC" + (", as the Docker engine's" if engine else ""))


async def check_clock(machine: Machine, home: Home) -> CheckResult:
    engine: datetime | None = None
    try:
        asked = datetime.now(UTC)
        engine = parse_time((await ask_engine(machine, timeout=5)).time)
        # The answer's own travel time is not a skew.
        engine = None if engine is None else engine - (datetime.now(UTC) - asked) / 2
    except EngineTrouble:
        pass  # the engine's own line says so
    times = []
    for witness in _witnesses(machine, home):
        with contextlib.suppress(OSError):  # absent, or not for us to see
            times.append(witness.stat().st_mtime)
    written = datetime.fromtimestamp(max(times), UTC) if times else None
    return judge_clock(datetime.now(UTC), engine=engine, written=written)


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time with any number of fractional digits; None when it is not one."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _witnesses(machine: Machine, home: Home) -> tuple[Path, ...]:
    return (home.root, home.runs, home.ca / "ca.crt", machine.apt_lists, Path(__file__))


def check_key(locate: Callable[[], KeyLocation]) -> CheckResult:
    """Where the key that seals credentials is. `locate` may block, on a keychain for example."""
    found = locate()
    if found.problem:
        return _key(
            CheckState.FAIL,
            found.problem,
            "Make that file yours alone, or bring back the key that sealed the grants."
            if found.place == "file"
            else "Unlock the keychain, or bring back the key that sealed the grants.",
        )
    if found.place == "keychain":
        return _key(CheckState.OK, f"the encryption key is in {found.detail}")
    if found.place == "file":
        remedy = "With a keychain (GNOME Keyring, KWallet) the key would not be in a file."
        return _key(
            CheckState.OK, f"no keychain: the encryption key is in {found.detail}, yours alone", remedy
        )
    return _key(CheckState.OK, f"no key yet: {found.detail}")


def check_ca(home: Home, now: datetime) -> CheckResult:
    """The proxy's certificate authority: absent is fine (the first run makes it), broken is not."""
    certificate, key = home.ca / "ca.crt", home.ca / "ca.key"
    renew = f"Move {home.ca} away: the next run makes a new one."
    try:
        found = x509.load_pem_x509_certificate(home.read(certificate))
    except FileNotFoundError:
        return _ca(CheckState.OK, "none yet: the first run makes it")
    except MoatError as error:
        return _ca(CheckState.FAIL, ": ".join(filter(None, (error.what, error.detail))), error.remedy)
    except ValueError:
        return _ca(CheckState.FAIL, f"{certificate} is not a certificate", renew)
    until = found.not_valid_after_utc
    if now > until:
        return _ca(CheckState.FAIL, f"expired on {until:%Y-%m-%d}", renew)
    if now < found.not_valid_before_utc:
        return _ca(
            CheckState.FAIL, f"not valid before {found.not_valid_before_utc:%Y-%m-%d}", "Check the clock."
        )
    if not key.is_file():
        return _ca(CheckState.FAIL, f"its key {key} is missing", renew)
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        return _ca(
            CheckState.FAIL,
            f"others can read its key {key}",
            f"{renew} Whoever read the key can pose as any host.",
        )
    return _ca(CheckState.OK, f"valid until {until:%Y-%m-%d}")


class HeadsState(Protocol):
    """engine.heads.HeadsState."""

    @property
    def events(self) -> int: ...
    @property
    def keys(self) -> int: ...
    @property
    def problem(self) -> str: ...


def check_heads(look: Callable[[], HeadsState | None]) -> CheckResult:
    """The installation's own log: without it no run can start. A quick look; `moat audit runs` reads all."""
    found = look()
    if found is None:
        return _heads(CheckState.OK, "none yet: the first run begins it")
    if found.problem:
        return _heads(
            CheckState.FAIL,
            found.problem,
            "No run starts. Bring the right heads/ back, or move it away to begin as a new installation.",
        )
    return _heads(CheckState.OK, f"{found.events} events, continued since its last signed head")


def check_settings(look: Callable[[], None]) -> CheckResult:
    """The person's own config.yaml: a mistake in it stops every run. `look` raises it."""
    try:
        look()
    except MoatError as error:
        message = ": ".join(filter(None, (error.what, error.detail)))
        return _settings(CheckState.FAIL, message, error.remedy or "Correct it; until then no run starts.")
    return _settings(CheckState.OK, "no mistake in config.yaml")


def check_providers(problems: Callable[[], Sequence[ConfigError]]) -> CheckResult:
    """The person's own providers: one file with a mistake disables itself only, so it is a warning."""
    found = problems()
    if not found:
        return CheckResult("providers", "Own providers", CheckState.OK, "no file with a mistake")
    return CheckResult(
        "providers",
        "Own providers",
        CheckState.WARN,
        "; ".join(error.what for error in found),
        found[0].remedy or "Correct the file; until then nothing that it defines can be granted.",
    )


def _clock(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("clock", "Clock", state, message, remedy)


def _key(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("keychain", "Keychain", state, message, remedy)


def _heads(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("heads", "Installation log", state, message, remedy)


def _settings(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("settings", "Settings", state, message, remedy)


def _ca(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("ca", "Certificate authority", state, message, remedy)
