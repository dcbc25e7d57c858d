"""What a run begins with: its first metadata, and the same in words for its audit log."""

from __future__ import annotations

import os

from engine.events import RunInfo, timestamp
from engine.run.granted.injections import Granted
from engine.run.launch import Launched
from engine.run.spec import RunSpec


def first_info(spec: RunSpec, granted: Granted) -> RunInfo:
    return RunInfo(
        id=spec.id,
        name=spec.name,
        created_at=timestamp(),
        agent=spec.agent,
        workspace=str(spec.workspace),
        worktree=spec.request.worktree,
        repository=spec.request.repository,
        command=spec.command,
        image=spec.image,
        runtime=spec.runtime,
        policy=spec.policy,
        grants=spec.grants,
        profile=spec.profile,
        interactive=spec.interactive,
        keep=spec.keep,
        supervisor_pid=os.getpid(),
        env=tuple(spec.request.env),
        secrets=spec.request.secrets,
        mounts=spec.request.mounts,
        volumes=spec.request.volumes,
        volume_names=tuple(volume.name for volume in spec.volumes),
        publish=spec.request.publish,
        allow_hosts=spec.request.allow_hosts,
        without_grants=spec.request.without_grants,
        connect_to=spec.request.connect_to,
        upstream_ca=spec.request.upstream_ca,
        decoys=spec.decoys,
        docker=spec.docker,
        services={service.name: service.image for service in spec.services},
        rootfs=str(spec.rootfs or ""),
    )


def kept_by(spec: RunSpec, launched: Launched) -> str:
    parts = [f"image {launched.image.about}"] if spec.image else []
    parts += [f"sandbox {launched.sandbox}"] if launched.sandbox else []
    parts += [f"runtime {spec.runtime}"]
    parts += [f"rootfs {spec.rootfs}"] if spec.rootfs else []
    parts += [f"{port.name} at {port.address}" for port in launched.publishing.ports]
    return ", ".join(parts)


def given(spec: RunSpec) -> str:
    """What the run was given, for the first entry of its log. Names only."""
    parts = [f"policy {spec.policy}"]
    if spec.docker:
        parts.append(f"docker:{spec.docker}")
    if spec.request.worktree:
        parts.append(f"a worktree of {spec.request.worktree} of {spec.request.repository}")
    if spec.grants:
        parts.append("grants " + ", ".join(spec.grants))
    if spec.allow:
        parts.append("hosts " + ", ".join(spec.allow))
    parts += [f"rule {rule} (config.yaml)" for rule in spec.own_rules]
    parts += [f"rule {rule}" for rule in spec.rules]
    parts += [f"connect {rule.describe()}" for rule in spec.connect_to]
    if spec.transparent is not None:
        parts.append(f"transparent {str(spec.transparent).lower()}")
    if spec.upstream_proxy is not None:
        parts.append(f"upstream proxy {spec.upstream_proxy}")
    if spec.passthrough:
        parts.append("passthrough " + ", ".join(spec.passthrough))
    if spec.ports:
        parts.append("ports " + ", ".join(map(str, spec.ports)))
    if spec.volumes:
        parts.append("volumes " + ", ".join(map(str, spec.volumes)))
    if spec.decoys:
        parts.append("decoys")
    if spec.services:
        parts.append("services " + ", ".join(f"{each.name} ({each.image})" for each in spec.services))
    if not spec.workspace_record:
        parts.append("no record of the workspace")
    if not spec.snapshot_at_start:
        parts.append("no snapshot at the start")
    if spec.private:
        parts.append("private " + ", ".join(map(str, spec.private)))
    return "; ".join(parts)
