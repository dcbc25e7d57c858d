"""All checks at once, each within its own time: a check that hangs becomes a line that says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from engine.doctor.apple import check_apple
from engine.doctor.base_image import check_image
from engine.doctor.bubblewrap import check_bubblewrap
from engine.doctor.docker_engine import check_engine
from engine.doctor.gvisor import check_gvisor
from engine.doctor.leftovers import FindLeftovers, check_leftovers, find_leftovers
from engine.doctor.local_checks import (
    KeyLocation,
    check_ca,
    check_clock,
    check_heads,
    check_key,
    check_providers,
    check_python,
    check_settings,
)
from engine.doctor.machine import Machine
from engine.doctor.results import CheckResult, CheckState
from engine.errors import MoatError, UsageError
from engine.grants import load_providers
from engine.heads import look_at_heads
from engine.home import Home

Check = Callable[[], Awaitable[CheckResult]]

CHECKS = {
    "python": ("Python", 5.0),
    "docker": ("Docker engine", 15.0),
    "gvisor": ("gVisor", 60.0),
    "image": ("Base image", 60.0),
    "bubblewrap": ("bubblewrap", 15.0),
    "apple": ("Apple containers", 40.0),
    "keychain": ("Keychain", 15.0),
    "clock": ("Clock", 15.0),
    "ca": ("Certificate authority", 10.0),
    "heads": ("Installation log", 10.0),
    "settings": ("Settings", 10.0),
    "providers": ("Own providers", 10.0),
    "leftovers": ("Leftovers of dead runs", 20.0),
}  # name: title, seconds it may take


async def run_checks(
    home: Home,
    only: Sequence[str] = (),
    *,
    machine: Machine | None = None,
    find: FindLeftovers = find_leftovers,
    locate_key: Callable[[], KeyLocation] | None = None,
) -> list[CheckResult]:
    """The machine's state, one result for each check (or each named in `only`), in the order of CHECKS.

    Raises UsageError for a name in `only` that is no check. Never waits longer than the longest time
    in CHECKS. machine, find and locate_key stand in for this machine in tests.
    """
    unknown = sorted(set(only) - CHECKS.keys())
    if unknown:
        raise UsageError(f"no such check: {', '.join(unknown)}", remedy=f"Checks: {', '.join(CHECKS)}.")
    checks = _bind(home, machine or Machine.here(), find, locate_key or _key_location(home))
    wanted = [name for name in CHECKS if not only or name in only]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(within_time(name, checks[name]), name=f"check {name}") for name in wanted]
    return [task.result() for task in tasks]


def _bind(
    home: Home, machine: Machine, find: FindLeftovers, locate: Callable[[], KeyLocation]
) -> dict[str, Check]:
    async def python() -> CheckResult:
        return check_python()

    return {
        "python": python,
        "docker": lambda: check_engine(machine),
        "gvisor": lambda: check_gvisor(machine),
        "image": lambda: check_image(machine),
        "bubblewrap": check_bubblewrap,
        "apple": check_apple,
        "keychain": lambda: in_thread(lambda: check_key(locate)),
        "clock": lambda: check_clock(machine, home),
        "ca": lambda: in_thread(lambda: check_ca(home, datetime.now(UTC))),
        "heads": lambda: in_thread(lambda: check_heads(lambda: look_at_heads(home))),
        "settings": lambda: in_thread(lambda: check_settings(lambda: _host_config(home))),
        "providers": lambda: in_thread(lambda: check_providers(lambda: load_providers(home).bad)),
        "leftovers": lambda: check_leftovers(home, find),
    }


async def within_time(name: str, check: Check, timeout: float = 0) -> CheckResult:
    """The check's result, or a failure that says what went wrong with the check itself.

    timeout: seconds, 0 for the check's own time in CHECKS.
    """
    title, usual = CHECKS[name]
    try:
        async with asyncio.timeout(timeout or usual):
            return await check()
    except TimeoutError:
        message = f"no answer within {timeout or usual:.0f} s"
        return CheckResult(
            name, title, CheckState.FAIL, message, "Try again; if it stays, look at what it waits for."
        )
    except MoatError as error:
        message = f"{error.what}: {error.detail}" if error.detail else error.what
        return CheckResult(name, title, CheckState.FAIL, message, error.remedy)
    except Exception as error:  # one broken check must not take the other lines away
        message = f"the check itself failed: {type(error).__name__}: {error}"
        return CheckResult(name, title, CheckState.FAIL, message, "Please report this line.")


async def in_thread[T](work: Callable[[], T]) -> T:
    """`work` in a thread that is left behind when we stop waiting.

    asyncio's own threads are waited for at exit, so a keychain that waits for a password nobody sees
    would keep the whole command.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def body() -> None:
        value: T | None = None
        failed: BaseException | None = None
        try:
            value = work()
        except BaseException as error:
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=body, daemon=True, name="moat-check").start()
    return await done


def _host_config(home: Home) -> None:
    from engine.run.spec import check_host_config  # what only runs need costs time to import

    check_host_config(home)


def _key_location(home: Home) -> Callable[[], KeyLocation]:
    def locate() -> KeyLocation:
        from engine.credentials import KeySource  # keyring's backends cost time to import

        return KeySource(home).where()

    return locate
