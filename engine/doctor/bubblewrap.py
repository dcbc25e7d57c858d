"""Does a bubblewrap sandbox start here? Never needed: it is the runtime for who asks for it."""

from __future__ import annotations

import os
import secrets
import sys
import time

from engine.doctor.results import CheckResult, CheckState
from engine.errors import MoatError
from engine.runtimes import ContainerSpec, open_runtime


async def check_bubblewrap() -> CheckResult:
    if not sys.platform.startswith("linux"):
        return _result(CheckState.OK, "not for this system: it needs Linux")
    began = time.monotonic()
    try:
        code = await _start_one()
    except MoatError as error:
        message = f"a sandbox does not start: {error.detail or error.what}"
        return _result(CheckState.WARN, message, error.remedy)
    took = round(1000 * (time.monotonic() - began))
    if code != 0:
        return _result(CheckState.WARN, f"a sandbox starts, and a program in it ends with {code}")
    return _result(CheckState.OK, f"a sandbox starts, in {took} ms; chosen with --runtime bubblewrap")


async def _start_one() -> int:
    run_id = f"run_doctor{secrets.token_hex(4)}"
    async with open_runtime("bubblewrap", os.environ) as runtime:
        network = await runtime.create_network(run_id, "", True)
        terms = await runtime.terms(network, None, os.getuid(), os.getgid())
        container = await runtime.create(
            ContainerSpec(
                run_id=run_id,
                home_label="",
                name=f"moat-{run_id}",
                image="",
                network=network,
                command=("/bin/sh", "-c", ":"),
                workdir="/",
                user=terms.user,
                sandbox=terms.sandbox,
            )
        )
        streams = await container.attach()
        await container.start()
        async for _ in streams:
            pass
        return await container.wait()


def _result(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("bubblewrap", "bubblewrap", state, message, remedy, needed=False)
