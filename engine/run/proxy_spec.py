"""What a run's proxy is told: its policy, the person's own settings, and what the run was granted."""

from __future__ import annotations

import msgspec

from engine.proxy import ProxySpec
from engine.run.granted.aws_delivery import AwsDelivery
from engine.run.granted.injections import Granted
from engine.run.spec import RunSpec
from engine.runtimes import ProxyReach


def proxy_spec(spec: RunSpec, token: str, reach: ProxyReach) -> ProxySpec:
    """With no grant, as for the making of an image."""
    return ProxySpec(
        run_id=spec.id,
        token=token,
        mode=spec.policy,
        allow=spec.allow,
        rules=spec.rules,
        own_rules=spec.own_rules,
        connect_to=spec.connect_to,
        upstream_ca=spec.upstream_ca,
        private=spec.private,
        passthrough=spec.passthrough,
        upstream_proxy=spec.upstream_proxy,
        subnet=reach.peers,
        alone=reach.alone,
    )


def granted_proxy_spec(
    spec: RunSpec,
    granted: Granted,
    aws: AwsDelivery,
    token: str,
    reach: ProxyReach,
    strangers: tuple[str, ...],
) -> ProxySpec:
    return msgspec.structs.replace(
        proxy_spec(spec, token, reach),
        allow=spec.allow + aws.reach,
        injections=granted.injections,
        hidden=(*granted.secrets.masked, *granted.decoys.hidden, *granted.services.values()),
        decoys=granted.decoys.decoys,
        served=aws.served,
        ssh=granted.ssh.servers if granted.ssh else (),
        strangers=strangers,
    )


def proxy_url(reach: ProxyReach, port: int, token: str) -> str:
    """For the container, with the run's token in it."""
    return f"http://moat:{token}@{reach.host}:{port}"
