"""What a run may ask of each runtime, known before any is opened."""

from __future__ import annotations

import msgspec

from engine.errors import UsageError


class Abilities(msgspec.Struct, frozen=True):
    """images: it runs images, and can leave a container of one behind; otherwise programs of this machine, or
    of a directory tree. open_network: there can be a way out beside the proxy. gvisor: it can use gVisor.
    docker: there is a Docker engine, whose socket a container can be shown, and which makes privileged ones.
    sidecars: further containers can be on a run's network.
    builds: Moat makes images there.
    """

    images: bool = True
    open_network: bool = True
    gvisor: bool = True
    docker: bool = True
    sidecars: bool = True
    builds: bool = True


ABILITIES = {
    "docker": Abilities(),
    "bubblewrap": Abilities(
        images=False, open_network=False, gvisor=False, docker=False, sidecars=False, builds=False
    ),
    "apple": Abilities(gvisor=False, docker=False, sidecars=False, builds=False),
}

_OF_DOCKER = {
    "docker:host": "There is no Docker socket to mount.",
    "docker:dind": "No container can be privileged there.",
    "privileged": "No container can be privileged there.",
}


def refuse_docker(runtime: str, wish: str) -> None:
    """Raise UsageError when a run of `runtime` wishes for a Docker engine ("docker:host", "docker:dind") or
    for "privileged", and cannot have it.
    """
    if wish in _OF_DOCKER and not ABILITIES[runtime].docker:
        raise UsageError(
            f"{wish} cannot be had with the runtime {runtime!r}",
            detail=_OF_DOCKER[wish],
            remedy=f"Leave {wish} out, or use the runtime 'docker'.",
        )
