"""What a run's proxy is told by the run alone: its policy and the person's own settings, and no grant."""

from __future__ import annotations

from engine.proxy import ProxySpec
from engine.run.spec import RunSpec
from engine.runtimes import ProxyReach


def proxy_spec(spec: RunSpec, token: str, reach: ProxyReach) -> ProxySpec:
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
