"""The image that a run's container is made of: the one it names, or that one with what agent.yaml adds.

Each step runs in a container of the run's own, on its network, behind a proxy that has no grants, and
becomes a layer under a name that says what is in it (engine/images/names.py). What is here under that name
is never made again, so most runs find all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.audit import container
from engine.errors import ImageUnavailable, RuntimeUnavailable
from engine.file_lock import awaited_file_lock
from engine.home import Home
from engine.images import Plan, image_names
from engine.run.image.step import StepMaker, Surroundings
from engine.run.proxy_life import ProxyLife
from engine.run.proxy_spec import proxy_spec, proxy_url
from engine.run.reading.tail import RequestTail
from engine.run.spec import RunSpec
from engine.runtimes import ImageFacts, Runtime, home_label

PATIENCE = 3600.0  # seconds to wait for another run's step, which may take half of it


@dataclass(frozen=True, slots=True)
class RunImage:
    """ref: a name or id to make containers of. about: in words, for the audit log."""

    ref: str
    facts: ImageFacts
    about: str


async def have_images(engine: Runtime, plan: Plan, say: Callable[[str], None]) -> dict[str, ImageFacts]:
    """The plan's base and sources, pulled where they are missing. Raises ImageUnavailable."""
    found: dict[str, ImageFacts] = {}
    for ref in (plan.base, *plan.sources):
        await engine.ensure_image(ref, say)
        facts = await engine.image(ref)
        if facts is None:
            raise ImageUnavailable(f"the image {ref} is gone again", remedy="Start the run once more.")
        found[ref] = facts
    return found


def unchanged(spec: RunSpec, here: Mapping[str, ImageFacts], say: Callable[[str], None]) -> RunImage:
    """Where there is nothing to add."""
    if spec.request.rebuild:
        say("there is nothing to make anew: agent.yaml adds nothing to the image")
    base = spec.plan.base
    return RunImage(base, here[base], _named(base, here[base]))


async def made_image(
    around: Surroundings, here: Mapping[str, ImageFacts], planned: Callable[[tuple[str, ...]], None]
) -> RunImage:
    """Find it, or make what is missing of it. planned: told the names of all layers before one is made.

    Raises ImageUnavailable with the failing step's last lines, and RuntimeFailure.
    """
    spec, engine, plan = around.spec, around.engine, around.spec.plan
    label = home_label(around.home.root)
    ids = {ref: facts.id for ref, facts in here.items()}
    names = image_names(label, ids, plan.base, plan.steps, around.terms.user)
    planned(names)
    whole = None if spec.request.rebuild else await engine.image(names[-1])
    if whole is None:
        try:
            with contextlib.closing(around.log):
                async with _way_out(around) as proxy_url:
                    whole = await _make(around, here[plan.base], names, proxy_url)
        except ImageUnavailable as error:
            if refused := _refused(around):
                error.remedy = f"The proxy refused {refused}. {error.remedy}"
            raise
    titles = "; ".join(step.title for step in plan.steps)
    about = f"{_named(names[-1], whole)} of {_named(plan.base, here[plan.base])} with {titles}"
    return RunImage(names[-1], whole, about)


async def _make(around: Surroundings, base: ImageFacts, names: tuple[str, ...], proxy_url: str) -> ImageFacts:
    spec, engine = around.spec, around.engine
    if engine.builder is None:  # refused when the run was settled
        raise RuntimeUnavailable(f"the runtime {spec.runtime!r} makes no images")
    done, parent = await _layers_here(around, base.id, names)
    sandbox = around.terms.sandbox
    if sandbox == "gvisor" and not await engine.builder.under_gvisor():
        sandbox = "standard"
        around.say("the image is made under runc: gVisor is not set up so that one can be made under it")
    making = StepMaker(around, engine.builder, proxy_url, entrypoint=bool(base.entrypoint))
    for number, (step, name) in enumerate(zip(spec.plan.steps, names, strict=True), 1):
        if number <= done:
            continue
        doing = f"making the image, step {number} of {len(names)}: {step.title}"
        waiting = partial(around.say, f"waiting for another run, which is {doing}")
        async with _only_one(around.home, name, waiting):
            found = None if spec.request.rebuild else await engine.image(name)
            if found is not None:
                parent = found.id
                continue
            around.say(doing)
            begun = f"{name} of {parent}: {step.title}, sandbox {sandbox}"
            await around.recorder.note(container("building", reason=begun))
            parent = await making.layer(step, doing, parent, name)
            await around.recorder.note(container("built", reason=f"{name} is {parent}"))
    return await engine.image(parent) or ImageFacts(parent)


def _only_one(
    home: Home, name: str, waiting: Callable[[], None]
) -> contextlib.AbstractAsyncContextManager[None]:
    """One run makes a layer while the others that want the same wait for it."""
    late = ImageUnavailable(
        f"another run has been making the image {name} for {PATIENCE / 60:g} minutes",
        remedy="See `moat list` for runs that are starting; stop the one that hangs.",
    )
    return awaited_file_lock(home, lock_file(home, name), PATIENCE, late, waiting)


def lock_file(home: Home, image: str) -> Path:
    return home.images / f"{image.rpartition(':')[2]}.lock"


async def _layers_here(around: Surroundings, base: str, names: tuple[str, ...]) -> tuple[int, str]:
    """How many layers there are already, and the id of the last."""
    if not around.spec.request.rebuild:
        for number in range(len(names) - 1, 0, -1):
            if (found := await around.engine.image(names[number - 1])) is not None:
                return number, found.id
    return 0, base


def _refused(around: Surroundings) -> str:
    """What the proxy let no step reach, and why; at most three."""
    records = RequestTail(around.home, around.spec.id).read()
    denied = (f"{each.host} ({each.rule})" for each in records if each.decision == "denied")
    return ", ".join(list(dict.fromkeys(denied))[:3])


@contextlib.asynccontextmanager
async def _way_out(around: Surroundings) -> AsyncIterator[str]:
    """The run's policy without its grants, served at the run's own address; its URL with a token of its own.

    The run's proxy takes the same sockets afterwards, so this one has a copy of the listener.
    """
    from engine.proxy import ProxyServer

    token = secrets.token_urlsafe(32)
    reach = around.terms.reach
    served = proxy_spec(around.spec, token, reach)
    listener = socket.socket(fileno=os.dup(around.listener.fileno()))
    listener.setblocking(False)
    proxy = ProxyLife(lambda: ProxyServer(served, around.ca, around.recorder, around.holding), listener, None)
    try:
        await proxy.serve()
        yield proxy_url(reach, around.listener.getsockname()[1], token)
    finally:
        await asyncio.shield(asyncio.ensure_future(proxy.close()))


def _named(ref: str, facts: ImageFacts) -> str:
    return f"{ref} ({facts.id})" if facts.id else ref
