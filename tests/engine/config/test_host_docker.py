"""`docker:` of config.yaml: the images of docker:dind."""

from __future__ import annotations

import pytest

from engine.config.host import load_host_config
from engine.errors import ConfigError
from engine.home import Home


@pytest.fixture
def configured(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.root)

    def load(text: str):
        home.write(home.config_file, text.encode())
        return load_host_config(home).docker

    return load


def test_official_images_unless_others_are_named(configured):
    found = configured("theme: moat-dark\n")
    assert (found.dind_image, found.buildkit_image) == ("docker:28-dind", "moby/buildkit:buildx-stable-1")
    found = configured("docker: {dind_image: 'my/dind:1', buildkit_image: none}\n")
    assert (found.dind_image, found.buildkit_image) == ("my/dind:1", "")


@pytest.mark.parametrize("line", ["dind_image: --privileged", "buildkit_image: 'a b'", "dind: x"])
def test_a_mistake_is_named_with_its_line(configured, line):
    with pytest.raises(ConfigError, match=r"config\.yaml:2"):
        configured(f"docker:\n  {line}\n")
