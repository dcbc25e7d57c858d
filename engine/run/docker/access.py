"""What a run is given of Docker: this machine's engine (docker:host), a daemon of its own (docker:dind).

Both give away most of what a run's isolation is, so a person's word is needed for either: `--docker`, or a
yes to what agent.yaml asks for. Pure.
"""

from __future__ import annotations

from engine.config import AgentConfig, is_isolated
from engine.errors import UsageError
from engine.runtimes import Sandbox
from engine.runtimes.abilities import refuse_docker

HOST, DIND, NONE = "host", "dind", "none"
_CHOICES = (HOST, DIND, NONE)


def access_of(config: AgentConfig) -> str:
    """What agent.yaml asks for: "host", "dind" or ""."""
    return next((wanted.name for wanted in config.dependencies if wanted.kind == "docker"), "")


def settle_access(said: str, config: AgentConfig, runtime: str, policy: str) -> str:
    """ "host", "dind" or "". said: the person's word, which wins over the file's.

    Raises UsageError where the runtime or the policy cannot be together with it.
    """
    if said and said not in _CHOICES:
        raise UsageError(f"unknown --docker {said!r}", remedy=f"Use one of: {', '.join(_CHOICES)}.")
    access = said or access_of(config)
    if access in ("", NONE):
        return ""
    refuse_docker(runtime, f"docker:{access}")
    if access == HOST and is_isolated(policy):
        raise UsageError(
            f"docker:host and the policy {policy} exclude each other",
            detail="With this machine's Docker engine the agent can start containers on any network.",
            remedy="Use docker:dind, whose containers reach nothing but the proxy, or --policy permissive.",
        )
    return access


def wish(access: str) -> str:
    """For the person who is asked whether agent.yaml may have it."""
    if access == HOST:
        return "docker:host: this machine's Docker engine, WITH WHICH THE AGENT IS ROOT ON THIS MACHINE"
    return (
        "docker:dind: a Docker daemon of its own, WHICH IS ALL BUT ROOT ON THIS MACHINE unless under gVisor"
    )


def warning(access: str, sandbox: Sandbox) -> str:
    """For every start."""
    if access == HOST:
        return (
            "WARNING: docker:host: the agent has this machine's Docker engine, so it is root here: it can "
            "read every file, Moat's store too, and what it starts there no policy holds and no log records"
        )
    if sandbox == "gvisor":
        return (
            "docker:dind: a Docker daemon runs beside the agent, inside gVisor; its containers need "
            "--network host, and its images are kept in memory"
        )
    return (
        "WARNING: docker:dind: a Docker daemon runs beside the agent, with rights that are all but root's on "
        "this machine: code that means to can get out of it, whatever the policy; gVisor would hold it"
    )


def no_socket() -> UsageError:
    """Why docker:host cannot be had, where the engine has no socket."""
    return UsageError(
        "docker:host cannot be had: the Docker engine has no unix socket that could be shown",
        remedy="Point DOCKER_HOST at one, such as unix:///var/run/docker.sock, or use docker:dind.",
    )
