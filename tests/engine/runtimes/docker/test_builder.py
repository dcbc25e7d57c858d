"""A container's changes as an image: what is in it, what it runs, and what it must not carry on."""

from __future__ import annotations

import os

import aiodocker
import pytest

from engine.runtimes import MadeImage
from engine.runtimes.docker.body import kept_body
from engine.runtimes.docker.builder import changes

IMAGE = "moat-base:bookworm"


@pytest.mark.parametrize(
    ("own", "lines"),
    [
        ({}, ['CMD ["/bin/sh"]', "USER 0", "WORKDIR /"]),
        (
            {"Entrypoint": ["/e", "a b"], "Cmd": None, "User": "node", "WorkingDir": "/app"},
            ['ENTRYPOINT ["/e", "a b"]', "CMD []", "USER node", "WORKDIR /app"],
        ),
        ({"Cmd": ["x"], "User": "$(id)", "WorkingDir": "/a b\nENV X=1"}, ['CMD ["x"]']),
    ],
)
def test_it_runs_what_its_base_ran_and_no_run_finds_what_is_made_of_it(own, lines) -> None:
    labels = ["LABEL moat.run=", "LABEL moat.home=", "LABEL moat.image=home"]
    assert changes(own, "home") == labels + lines


@pytest.mark.parametrize(
    ("asked", "engine", "runtime"),
    [
        ("", {"runc", "runsc"}, "runc"),  # whatever the engine's default is
        ("runsc", {"runc", "runsc"}, "runc"),
        ("runsc", {"runc", "runsc", "runsc-kept"}, "runsc-kept"),
        ("", {"runc", "runsc", "runsc-kept"}, "runc"),
        ("", {"crun"}, ""),
    ],
)
def test_what_an_image_is_made_of_is_under_gvisor_only_where_that_keeps_it(asked, engine, runtime) -> None:
    host = {"Init": True, "CapDrop": ["ALL"]} | ({"Runtime": asked} if asked else {})
    made = kept_body({"Healthcheck": {}, "StopSignal": "SIGTERM", "HostConfig": host}, engine)
    expected = {"Init": False, "CapDrop": ["ALL"]} | ({"Runtime": runtime} if runtime else {})
    assert made == {"HostConfig": expected}


@pytest.mark.docker
async def test_a_layer_has_the_files_and_nothing_of_how_it_was_made(lab) -> None:
    """With an entrypoint and files of another image, on it; and the image goes again."""
    async with aiodocker.Docker(url=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock") as docker:
        name = await _with_entrypoint(docker, lab)
        try:
            spec = lab.spec(
                await lab.network(), "/bin/sh", "-s", image=name, entrypoint=False, interactive=True,
                kept=True, memory_files="/moat/ca", user="4321:4321",
            )  # fmt: skip
            container = await lab.docker.create(spec)
            await lab.docker.builder.copy_from(IMAGE, ("/usr/lib/os-release", "/etc/apt"), container)
            async with await container.attach() as attachment:
                await container.start()
                await attachment.write(
                    b"echo kept > ~/file; id -u > ~/uid; echo x >/moat/ca/secret; exit 0\n"
                )
                await attachment.close_stdin()
                said = b"".join([data async for _, data in attachment])
            assert (await container.wait(), said) == (0, b"")
            made = await lab.docker.builder.keep_as_image(container, "moat-image:test-layer", lab.label)
            assert await lab.docker.builder.made_images(lab.label) == [
                MadeImage(made, ("moat-image:test-layer",))
            ]
            config = (await docker.images.inspect(made))["Config"]
            assert (config["Entrypoint"], config["Cmd"]) == (["/usr/bin/env", "MADE=1"], ["own"])
            assert config["Env"] == (await docker.images.inspect(name))["Config"]["Env"]
            assert (config["Labels"]["moat.run"], config["Labels"]["moat.home"]) == ("", "")
            script = "cat /home/moat/file /home/moat/uid; ls /moat/ca; ls /etc/apt; echo $MADE"
            shown = await lab.run("sh", "-c", script, image="moat-image:test-layer", user="4321:4321")
            assert shown.stdout.split()[:2] == [b"kept", b"4321"]
            assert b"sources.list" in shown.stdout
            assert b"secret" not in shown.stdout
            assert shown.stdout.endswith(b"\n1\n")
        finally:
            for each in lab.runs:
                await lab.docker.remove_run(each)
            assert await lab.docker.builder.remove_image("moat-image:test-layer")
            assert await lab.docker.builder.made_images(lab.label) == []
            assert not await lab.docker.builder.remove_image("moat-image:test-layer")
            await docker.images.delete(name, force=True)


async def _with_entrypoint(docker: aiodocker.Docker, lab) -> str:
    """The base image with an ENTRYPOINT, under a name of this test's."""
    container = await lab.docker.create(lab.spec(await lab.network(), "true"))
    made = aiodocker.containers.DockerContainer(docker, id=container.id)
    lines = ['ENTRYPOINT ["/usr/bin/env", "MADE=1"]', 'CMD ["own"]', "LABEL moat.run= moat.home="]
    await made.commit(repository="moat-test-entrypoint", tag=lab.label, changes=lines)
    return f"moat-test-entrypoint:{lab.label}"
