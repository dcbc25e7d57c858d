from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.proxying import FAST


@pytest.fixture(params=["fast", "layers"])
def lane(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which lane HTTP/1.1 takes in this test's proxies."""
    FAST.append(request.param == "fast")
    yield request.param
    FAST.pop()
