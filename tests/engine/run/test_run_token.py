"""The token in the proxy's URL: 32 random bytes, a new one for each run, whatever the runtime."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit


async def proxy_urls(run) -> set[str]:
    await run.running()
    env = run.engine.spec.env
    run.engine.end(0)
    await run.result()
    return {env[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}


async def test_each_run_has_32_random_bytes_of_its_own_in_its_proxys_url(one_run):
    tokens = set()
    for _ in range(2):
        run = one_run()
        (url,) = await proxy_urls(run)
        token = urlsplit(url).password
        assert len(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))) == 32
        tokens.add(token)
        kept = [
            path
            for path in run.home.root.rglob("*")
            if path.is_file() and token.encode() in path.read_bytes()
        ]
        assert kept == []
    assert len(tokens) == 2
