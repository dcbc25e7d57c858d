"""The engine's own socket in a real container, for a user who is nobody there."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

ASK = ("curl", "-sS", "--unix-socket", "/var/run/docker.sock", "http://engine/version")
NOBODY = "61234:61234"


async def test_the_sockets_group_lets_the_agent_use_it_and_nothing_else_does(lab):
    network = await lab.network()
    terms = await lab.docker.terms(network, False, 61234, 61234)
    assert terms.engine_group is not None
    wishes = {"network": network, "user": NOBODY, "engine_socket": terms.engine_socket}
    asked = await lab.run(*ASK, **wishes, groups=(terms.engine_group,))
    assert asked.code == 0, asked.stderr
    assert "ApiVersion" in asked.text


async def test_without_its_group_it_is_there_and_of_no_use(lab):
    network = await lab.network()
    terms = await lab.docker.terms(network, False, 61234, 61234)
    asked = await lab.run(*ASK, network=network, user=NOBODY, engine_socket=terms.engine_socket)
    assert asked.code == 7, asked.text


async def test_programs_that_the_image_lacks_are_named(lab):
    spec = lab.spec(await lab.network(), "true", programs=("sh", "curl", "no-such-program"))
    container = await lab.docker.create(spec)
    assert container.lacking == ("no-such-program",)
