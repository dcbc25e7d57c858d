"""What the last approved run of a workspace was given by its agent.yaml, and whether this one asks more.

The workspace belongs to the agent, so agent.yaml may be the agent's own writing: it may ask, but a wish
that grew since a person last let it run is put to a person first. What was approved is kept on the
host, outside every workspace. The first run of a workspace has no measure: where a person is there they
are asked, and headless, where whoever wrote the script named the workspace, each wish is said. Docker, which
is root on this machine, is given to nobody who was not asked.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import msgspec

from engine.config import WORKSPACE, AgentConfig, HooksConfig, RequestRule, parse_grant
from engine.config.policies import ASK, PERMISSIVE, STRICT
from engine.errors import ApprovalNeeded, UsageError
from engine.home import Home
from engine.images import hook_title, image_wishes
from engine.run.beside.services import services_of
from engine.run.docker.access import access_of, wish
from engine.runtimes import ABILITIES

_SHOWN = 300  # characters of a hook


class Asks(msgspec.Struct, frozen=True):
    """The part of agent.yaml that reaches out of the container, in a comparable form."""

    workspace: str
    grants: tuple[str, ...] = ()  # as engine.config.grant_limits spells them
    mounts: tuple[str, ...] = ()  # "SRC:DST:ro|rw"
    strict: bool = False
    ask: bool = False
    allow: tuple[str, ...] = ()
    rules: tuple[tuple[bool, str], ...] = ()  # (allows, "allow GET /** for HOST"), in the file's order
    passthrough: tuple[str, ...] = ()
    unsandboxed: bool = False
    workspace_read_only: bool = False
    secrets: tuple[str, ...] = ()  # "REFERENCE as VARIABLE"
    docker: str = ""  # "host" or "dind"
    services: tuple[str, ...] = ()  # "NAME from the image IMAGE", where that is not the official one
    volumes: tuple[str, ...] = ()  # "NAME:TARGET:ro|rw"
    ports: tuple[str, ...] = ()  # "NAME:PORT"
    dependencies: tuple[str, ...] = ()  # what is put into the image
    hooks: tuple[str, ...] = ()  # each as it is put to a person, with a hash of its text


def asks_of(workspace: Path, config: AgentConfig, repository: Path | None = None) -> Asks:
    """repository: of which `workspace` is a worktree. All its worktrees have one measure, or an agent could
    widen its wishes in a new branch.
    """
    measured = repository or workspace
    others = [mount for mount in config.mounts if mount.target != WORKSPACE]

    def shown(source: Path) -> Path:
        return measured / source.relative_to(workspace) if source.is_relative_to(workspace) else source

    return Asks(
        workspace=str(measured),
        grants=tuple(sorted(config.grants)),
        mounts=tuple(
            sorted(f"{shown(m.source)}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in others),
        ),
        strict=config.network.policy == STRICT,
        ask=config.network.policy == ASK,
        allow=tuple(sorted(config.network.allow)),
        rules=tuple(
            (rule.allow, f"{rule} for {entry.host}")
            for entry in config.network.rules
            for rule in entry.rules or (RequestRule(allow=True),)
        ),
        passthrough=tuple(sorted(config.network.passthrough)),
        unsandboxed=config.sandbox is False or not ABILITIES[config.runtime or "docker"].gvisor,
        workspace_read_only=any(m.target == WORKSPACE and m.read_only for m in config.mounts),
        secrets=tuple(sorted(f"{reference} as {name}" for name, reference in config.secrets.items())),
        docker=access_of(config),
        services=tuple(
            sorted(
                f"{each.name} from the image {each.image}"
                for each in services_of(config)
                if not each.official
            )
        ),
        volumes=tuple(sorted(map(str, config.volumes))),
        ports=tuple(sorted(map(str, config.ports))),
        dependencies=tuple(sorted(image_wishes(config.dependencies, HooksConfig()))),
        hooks=tuple(_hooks(config.hooks)),
    )


def _hooks(hooks: HooksConfig) -> Iterator[str]:
    for name, when, lines in (
        ("post_build_root", "as root while the image is made", hooks.post_build_root),
        ("post_build", "while the image is made", hooks.post_build),
        ("pre_run", "before the command", hooks.pre_run),
    ):
        if lines.strip():
            text = " ⏎ ".join(lines.strip().splitlines())
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
            yield f"{hook_title(name, lines)}, run {when}: {shown}"


def widened(before: Asks, now: Asks, *, isolated: bool = False) -> tuple[str, ...]:
    """One readable line for each thing that `now` asks for and `before` did not.

    isolated: whether this run's own policy, however it came about, lets through only what is named.
    """
    wishes = [wish(now.docker)] if now.docker and now.docker != before.docker else []
    wishes += [f"grant {grant}" for grant in now.grants if not _covered(grant, before.grants)]
    wishes += [f"secret {secret}" for secret in now.secrets if secret not in before.secrets]
    wishes += [f"service {service}" for service in now.services if service not in before.services]
    wishes += [f"mount {mount}" for mount in _more_to_see(before.mounts, now.mounts)]
    wishes += [f"volume {volume}" for volume in _more_to_see(before.volumes, now.volumes)]
    wishes += [f"port {port} on this machine" for port in now.ports if port not in before.ports]
    wishes += [f"dependency {each}" for each in now.dependencies if each not in before.dependencies]
    wishes += [hook for hook in now.hooks if hook not in before.hooks]
    if _openness(now) > _openness(before):
        wishes.append(f"network policy {_policy(now)} instead of {_policy(before)}")
    # Where every host was open before, naming one opens nothing, unless this run is stricter than its file.
    named_only = isolated or (before.strict or before.ask)
    if isolated or (named_only and (now.strict or now.ask)):
        wishes += [f"network access to {host}" for host in now.allow if host not in before.allow]
    wishes += _widened_rules(before.rules, now.rules, named_only=named_only)
    wishes += [f"traffic with {host} unseen" for host in now.passthrough if host not in before.passthrough]
    if now.unsandboxed and not before.unsandboxed:
        wishes.append("no gVisor sandbox")
    if before.workspace_read_only and not now.workspace_read_only:
        wishes.append("write access to the workspace")
    return tuple(wishes)


def _more_to_see(before: tuple[str, ...], now: tuple[str, ...]) -> list[str]:
    """Of mounts or volumes. One that was writable covers its read-only form."""
    covered = {*before, *(place.removesuffix(":rw") + ":ro" for place in before)}
    return [place for place in now if place not in covered]


def _policy(asks: Asks) -> str:
    return STRICT if asks.strict else ASK if asks.ask else PERMISSIVE


def _openness(asks: Asks) -> int:
    return (STRICT, ASK, PERMISSIVE).index(_policy(asks))


def _widened_rules(
    before: tuple[tuple[bool, str], ...], now: tuple[tuple[bool, str], ...], *, named_only: bool
) -> list[str]:
    """What was taken from and added to a list whose order decides; only a new allow or a lost deny widens.

    named_only: otherwise a new allow opens nothing, unless some rule denied.
    """
    wishes: list[str] = []
    opens = named_only or not all(allows for allows, _ in before)
    for tag, i, j, k, m in SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if tag != "equal":
            wishes += [f"no longer: {text}" for allows, text in before[i:j] if not allows]
            wishes += [f"network rule: {text}" for allows, text in now[k:m] if allows and opens]
    return list(dict.fromkeys(wishes))


def _covered(grant: str, before: tuple[str, ...]) -> bool:
    """Whether a grant that was approved gives all of this one: the same scope, limits as narrow."""
    wish = parse_grant(grant)
    for text in before:
        with contextlib.suppress(UsageError):  # as an older Moat spelled it
            if wish.within(parse_grant(text)):
                return True
    return False


def approve(
    home: Home,
    workspace: Path,
    config: AgentConfig,
    *,
    anything: bool = False,
    accepted: tuple[str, ...] = (),
    person: bool = False,
    isolated: bool = False,
    repository: Path | None = None,
) -> tuple[str, ...]:
    """Let the run go on, or raise ApprovalNeeded. What goes on becomes the new measure.

    anything: a person said yes to whatever the file asks. accepted: the wishes a person was shown and
    agreed to; the file may have been written again since, so only these count. person: somebody is there
    to be asked, so the first run of a workspace, perhaps a stranger's, is put to them too.

    Returns the wishes of a first run that nobody was asked about; they are to be said.
    """
    now = asks_of(workspace, config, repository)
    measured = repository or workspace
    before = _last_approved(home, measured)
    unasked: tuple[str, ...] = ()
    if before is None and not anything:
        wishes = tuple(
            line for line in widened(_nothing(now), now, isolated=isolated) if line not in accepted
        )
        if wishes and (person or (now.docker and wish(now.docker) in wishes)):
            raise ApprovalNeeded(
                f"this is the first run of {workspace}, and its agent.yaml asks for",
                asks=wishes,
                remedy="Read it, then start again with --accept-config if you agree.",
            )
        unasked = tuple(line for line in wishes if line not in accepted)
    if before is not None and not anything:
        wishes = tuple(line for line in widened(before, now, isolated=isolated) if line not in accepted)
        if wishes:
            raise ApprovalNeeded(
                f"agent.yaml in {workspace} asks for more than its last approved run had",
                asks=wishes,
                remedy="Read it, then start again with --accept-config if you agree.",
            )
    if now != before:
        home.write(_file(home, measured), msgspec.json.encode(now))
    return unasked


def _nothing(now: Asks) -> Asks:
    """What a workspace has by itself: its own directory and the default network."""
    return Asks(workspace=now.workspace, strict=now.strict, ask=now.ask)


def _last_approved(home: Home, workspace: Path) -> Asks | None:
    try:
        return msgspec.json.decode(home.read(_file(home, workspace)), type=Asks)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # A damaged record approves nothing: everything now asked counts as new.
        return Asks(workspace=str(workspace), strict=True)


def _file(home: Home, workspace: Path) -> Path:
    return home.approvals / (hashlib.sha256(str(workspace).encode()).hexdigest()[:32] + ".json")
