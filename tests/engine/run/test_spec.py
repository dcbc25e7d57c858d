"""What a person does not give, although the workspace asks for it."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.home import Home
from engine.run.approval import asks_of
from engine.run.request import RunRequest
from engine.run.spec import settle


@pytest.fixture
def asking(tmp_path):
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "agent.yaml").write_text("grants: [github, openai]\ncommand: npm test\n")
    return RunRequest(workspace=str(workspace), grants=("linear",))


def settled(tmp_path, asked, **more):
    import msgspec

    return settle(Home(tmp_path / "home"), msgspec.structs.replace(asked, **more))


def test_a_grant_can_be_left_out_and_is_not_asked_about_either(tmp_path, asking):
    assert settled(tmp_path, asking).grants == ("github", "openai", "linear")
    spec = settled(tmp_path, asking, without_grants=("github",))
    assert spec.grants == ("openai", "linear")
    assert asks_of(spec.workspace, spec.config).grants == ("openai",)


def test_a_grant_cannot_be_given_and_left_out(tmp_path, asking):
    with pytest.raises(UsageError, match="linear"):
        settled(tmp_path, asking, without_grants=("linear",))


async def test_what_was_asked_for_is_kept_for_the_next_time_without_values(one_run):
    run = one_run(
        env={"TOKEN": "s3cr3t-value"},
        secrets={"KEY": "env://NAME"},
        mounts=(".:/data:ro",),
        allow_hosts=("pypi.org",),
        without_grants=("github",),
        connect_to=("a.test:443:127.0.0.1:8443",),
    )
    run.begin()
    await run.at("wait")
    run.engine.end(0)
    info = await run.result()
    assert (info.env, info.mounts, info.allow_hosts) == (("TOKEN",), (".:/data:ro",), ("pypi.org",))
    assert info.secrets == {"KEY": "env://NAME"}
    assert (info.without_grants, info.connect_to) == (("github",), ("a.test:443:127.0.0.1:8443",))
    assert b"s3cr3t" not in (run.home.run(run.id) / "metadata.json").read_bytes()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"image": "debian:bookworm-slim"}, "no images, and debian:bookworm-slim is one"),
        ({"keep": True}, "--keep: .* no container that could stay"),
        ({"rootfs": "/nowhere"}, "no such file"),
        ({"runtime": "docker", "rootfs": "/usr"}, "it has no use for --rootfs"),
    ],
)
def test_what_a_runtime_cannot_do_is_refused(tmp_path, asking, more, said):
    with pytest.raises(UsageError, match=said):
        settled(tmp_path, asking, **{"runtime": "bubblewrap", **more})


@pytest.mark.parametrize(
    ("runtime", "text", "said"),
    [
        ("bubblewrap", "dependencies: [jq]", "no images, and jq would be put into one"),
        ("bubblewrap", "dependencies: [node@20]", "no images, and node@20 would be put into one"),
        ("bubblewrap", "hooks: {post_build: x}", r"no images, and hook post_build \("),
        ("apple", "dependencies: [node@20, jq]", "makes no images, and packages jq would be put into one"),
        ("docker", "dependencies: ['npm:eslint']", "npm:eslint needs node"),
    ],
)
def test_tools_are_refused_where_no_image_can_have_them(tmp_path, asking, runtime, text, said, monkeypatch):
    monkeypatch.setattr("engine.run.spec.choose_runtime", lambda asked, environment, config: asked)
    (tmp_path / "ws" / "agent.yaml").write_text(f"{text}\ncommand: x\n")
    with pytest.raises(UsageError, match=said) as caught:
        settled(tmp_path, asking, runtime=runtime)
    assert caught.value.remedy


def test_the_image_is_the_persons_then_the_files_then_the_languages(tmp_path, asking, monkeypatch):
    monkeypatch.setattr("engine.run.spec.choose_runtime", lambda asked, environment, config: asked)
    file = tmp_path / "ws" / "agent.yaml"
    file.write_text("dependencies: [node@20]\nhooks: {pre_run: x}\ncommand: x\n")
    assert settled(tmp_path, asking, runtime="docker").image == "node:20-slim"
    assert settled(tmp_path, asking, runtime="apple").image == "node:20-slim"
    assert settled(tmp_path, asking, runtime="docker", image="mine").image == "mine"
    file.write_text("image: theirs\ncommand: x\n")
    assert settled(tmp_path, asking, runtime="docker").image == "theirs"
    assert settled(tmp_path, asking, runtime="docker", image="mine").image == "mine"
    file.write_text("hooks: {pre_run: x}\ncommand: x\n")
    assert settled(tmp_path, asking, runtime="bubblewrap").image == ""


@pytest.mark.parametrize("runtime", ["bubblewrap", "apple"])
def test_services_are_refused_where_nothing_can_run_beside_the_agent(tmp_path, asking, runtime, monkeypatch):
    monkeypatch.setattr("engine.run.spec.choose_runtime", lambda asked, environment, config: asked)
    (tmp_path / "ws" / "agent.yaml").write_text("dependencies: [redis@7, postgres@17]\ncommand: x\n")
    with pytest.raises(UsageError, match="beside the agent: redis, postgres") as caught:
        settled(tmp_path, asking, runtime=runtime)
    assert "'docker'" in caught.value.remedy
    assert [each.image for each in settled(tmp_path, asking, runtime="docker").services] == [
        "redis:7", "postgres:17",
    ]  # fmt: skip


def test_without_images_a_run_is_closed_whatever_its_policy(tmp_path, asking):
    spec = settled(tmp_path, asking, runtime="bubblewrap", policy="permissive")
    assert (spec.image, spec.isolated) == ("", True)
    assert str(tmp_path / "home") in spec.hidden
    assert not settled(tmp_path, asking, runtime="docker", policy="permissive").isolated


def test_a_workspace_that_asks_for_a_runtime_without_gvisor_asks_for_less_isolation(tmp_path, asking):
    (tmp_path / "ws" / "agent.yaml").write_text("runtime: bubblewrap\ncommand: npm test\n")
    spec = settled(tmp_path, asking)
    assert spec.runtime == "bubblewrap"
    assert asks_of(spec.workspace, spec.config).unsandboxed
