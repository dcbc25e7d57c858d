"""A ContainerSpec as the arguments of `container create`: pure, so that its promises are tested without one.

Nothing secret is among them: any process of this machine can read them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from engine.errors import UsageError
from engine.runtimes.apple.staging import START, TARGET
from engine.runtimes.spec import HOME_LABEL, RUN_LABEL, Bind, ContainerSpec, ImageFacts

# As under Docker (docker/body.py): what root needs in its own container. Not NET_ADMIN and NET_RAW, with
# which it could change its routes.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID")


def create_words(
    spec: ContainerSpec, image: ImageFacts, staged: str, *, capabilities: bool, init: bool
) -> list[str]:
    """capabilities, init: whether this release of `container` knows --cap-drop and --init."""
    words = ["create", "--name", spec.name]
    words += label_words({**spec.labels, RUN_LABEL: spec.run_id, HOME_LABEL: spec.home_label})
    words += ["--network", spec.network.name, "--workdir", spec.workdir]
    if spec.user:
        words += ["--user", spec.user]
    if spec.interactive:
        words.append("--interactive")
    if spec.tty:
        words.append("--tty")
    for bind in (*spec.binds, Bind(staged, TARGET, read_only=True)):
        words += _mount(bind)
    if spec.network.internal:
        words.append("--no-dns")  # the gateway would resolve names, for whoever asks
    else:
        for server in spec.dns:
            words += ["--dns", server]
    if spec.memory_mb is not None:
        words += ["--memory", f"{spec.memory_mb}M"]
    if spec.cpus is not None:
        words += ["--cpus", str(max(1, math.ceil(spec.cpus)))]
    if capabilities:
        words += ["--cap-drop", "ALL", *(word for name in CAPABILITIES for word in ("--cap-add", name))]
    if init:
        words.append("--init")
    entrypoint = image.entrypoint if spec.entrypoint else ()
    agent = (*entrypoint, *(spec.command or image.command))
    return [*words, "--entrypoint", "/bin/sh", spec.image, START, "--", *agent]


def label_words(labels: Mapping[str, str]) -> list[str]:
    return [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]


def _mount(bind: Bind) -> list[str]:
    """In one of the two ways to write it: the characters that divide the one are nothing to the other."""
    both = bind.source + bind.target
    if not any(character in both for character in ",="):
        more = ",readonly" if bind.read_only else ""
        return ["--mount", f"type=bind,source={bind.source},target={bind.target}{more}"]
    if ":" not in both:
        return ["--volume", f"{bind.source}:{bind.target}" + (":ro" if bind.read_only else "")]
    raise UsageError(
        f"the mount {bind.source} cannot be given to Apple's `container`",
        detail="Its path has a colon, and a comma or an equals sign.",
        remedy="Rename the directory, or use the runtime 'docker'.",
    )
