from pathlib import Path

import pytest

from engine.config import AgentConfig, HooksConfig, HostRules, Mount, NetworkConfig, parse_port, parse_volume
from engine.config.agent_config import ServiceConfig
from engine.config.dependencies import parse_dependency
from engine.config.rules import parse_rule
from engine.errors import ApprovalNeeded
from engine.home import Home
from engine.run.approval import approve, asks_of, widened

WORKSPACE = Path("/w")


def config(policy="strict", allow=(), rules=(), unseen=(), ports=(), volumes=(), **wishes):
    return AgentConfig(
        network=NetworkConfig(policy=policy, allow=allow, rules=ruled(*rules), passthrough=unseen),
        ports=tuple(map(parse_port, ports)),
        volumes=tuple(map(parse_volume, volumes)),
        **wishes,
    )


def served(image=""):
    wanted = (parse_dependency("redis@7"),)
    return AgentConfig(
        network=NetworkConfig(policy="strict"), dependencies=wanted, services={"redis": ServiceConfig(image)}
    )


def tools(*words):
    return config(dependencies=tuple(map(parse_dependency, words)))


def hooked(**hooks):
    return config(hooks=HooksConfig(**hooks))


def ruled(*texts):
    return tuple(HostRules("api.test", (parse_rule(text),)) for text in texts)


def mount(source, *, read_only, target="/data"):
    return Mount(source=Path(source), target=target, read_only=read_only)


@pytest.mark.parametrize(
    ("before", "now", "wish"),
    [
        (config(), config(grants=("github",)), "grant github"),
        (config(grants=("github:ro",)), config(grants=("github",)), "grant github"),
        (
            config(grants=("github;max_requests=5",)),
            config(grants=("github;max_requests=6",)),
            "grant github;max_requests=6",
        ),
        (config(), config(mounts=(mount("/a", read_only=True),)), "mount /a:/data:ro"),
        (
            config(mounts=(mount("/a", read_only=True),)),
            config(mounts=(mount("/a", read_only=False),)),
            "mount /a:/data:rw",
        ),
        (config(), config(policy="permissive"), "network policy permissive"),
        (config(), config(policy=""), "network policy permissive"),
        (config(), config(policy="ask"), "network policy ask instead of strict"),
        (config(policy="ask"), config(policy=""), "network policy permissive instead of ask"),
        (config(), config(allow=("evil.test",)), "network access to evil.test"),
        (config(policy="ask"), config(policy="ask", allow=("evil.test",)), "network access to evil.test"),
        (config(), config(rules=("allow GET /a",)), "network rule: allow GET /a for api.test"),
        (config(rules=("deny * /a",)), config(), "no longer: deny * /a for api.test"),
        (
            config(policy="", rules=("deny * /a",)),
            config(policy="", rules=("allow * /a/b", "deny * /a")),
            "network rule: allow * /a/b",
        ),
        (config(), config(unseen=("a.test",)), "traffic with a.test unseen"),
        (config(policy=""), config(policy="", unseen=("a.test",)), "traffic with a.test unseen"),
        (config(), config(sandbox=False), "no gVisor"),
        (config(), served("evil.test/redis"), "service redis from the image evil.test/redis"),
        (served("a/redis:1"), served("a/redis:2"), "service redis from the image a/redis:2"),
        (config(), config(secrets={"DB": "op://v/i/f"}), "secret op://v/i/f as DB"),
        (
            config(secrets={"DB": "op://v/i/f"}),
            config(secrets={"DB": "env://HOME"}),
            "secret env://HOME as DB",
        ),
        (
            config(mounts=(mount(WORKSPACE, read_only=True, target="/workspace"),)),
            config(),
            "write access to the workspace",
        ),
        (config(), config(ports=("web:3000",)), "port web:3000 on this machine"),
        (config(ports=("web:3000",)), config(ports=("web:22",)), "port web:22 on this machine"),
        (config(), tools("npm:eslint@9"), "dependency npm:eslint@9"),
        (tools("jq"), tools("jq", "node@20"), "dependency node@20"),
        (config(), hooked(pre_run="a\nb"), "run before the command: a ⏎ b"),
        (config(), hooked(post_build_root="id"), "run as root while the image is made: id"),
        (hooked(post_build="a" * 300 + "b"), hooked(post_build="a" * 300 + "c"), f"{'a' * 300}…"),
        (hooked(post_build="a\nb"), hooked(post_build="a ⏎ b"), "a ⏎ b"),  # looks the same, and is not
        (config(), config(volumes=("cache:/cache",)), "volume cache:/cache:rw"),
        (config(volumes=("a:/a:ro",)), config(volumes=("a:/a",)), "volume a:/a:rw"),
        (config(volumes=("a:/a",)), config(volumes=("a:/etc",)), "volume a:/etc:rw"),
    ],
)
def test_threat_39_what_grew_is_named(before, now, wish):
    (line,) = widened(asks_of(WORKSPACE, before), asks_of(WORKSPACE, now))
    assert wish in line


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (config(grants=("github", "openai")), config(grants=("github",))),
        (config(grants=("github",)), config(grants=("github:ro;expires_in=1h",))),
        (config(mounts=(mount("/a", read_only=False),)), config(mounts=(mount("/a", read_only=True),))),
        (config(policy="permissive"), config(policy="strict")),
        (config(sandbox=False), config()),
        (tools("jq", "node@20"), tools("node@20")),
        (hooked(pre_run="a", post_build="b"), hooked(pre_run="a")),
        (config(), served()),  # the official image
        (config(), served("redis:7")),
        (served("evil.test/redis"), served()),
        (config(allow=("a.test",)), config()),
        (config(rules=("allow GET /a",)), config(rules=("deny * /b",))),
        (config(policy=""), config(policy="", rules=("allow GET /a",))),
        (config(ports=("web:3000", "api:1")), config(ports=("web:3000",))),
        (config(volumes=("a:/a", "b:/b")), config(volumes=("a:/a:ro",))),
    ],
)
def test_asking_less_asks_nobody(before, now):
    assert widened(asks_of(WORKSPACE, before), asks_of(WORKSPACE, now)) == ()


def test_order_decides_so_a_rule_that_moved_is_asked_about():
    before = asks_of(WORKSPACE, config(rules=("deny * /a", "allow * /**")))
    now = asks_of(WORKSPACE, config(rules=("allow * /**", "deny * /a")))
    assert widened(before, now)


def test_threat_39_a_run_stricter_than_its_file_is_not_widened_by_it():
    """`--policy strict` over a permissive agent.yaml: a host that the file adds counts all the same."""
    before = asks_of(WORKSPACE, config(policy=""))
    now = asks_of(WORKSPACE, config(policy="", allow=("evil.test",), rules=("allow * /**",)))
    assert widened(before, now) == ()
    lines = widened(before, now, isolated=True)
    assert lines == ("network access to evil.test", "network rule: allow * /** for api.test")


def test_the_first_run_is_the_measure_and_a_wider_one_needs_a_yes(tmp_path):
    home = Home(tmp_path / "home")
    approve(home, WORKSPACE, config(grants=("github",)))
    approve(home, WORKSPACE, config(grants=("github",)))
    wider = config(grants=("github", "openai"))
    for _ in range(2):  # a refusal must not become the measure
        with pytest.raises(ApprovalNeeded) as raised:
            approve(home, WORKSPACE, wider)
        assert raised.value.asks == ("grant openai",)
        assert "--accept-config" in raised.value.remedy
    approve(home, WORKSPACE, wider, anything=True)
    approve(home, WORKSPACE, wider)
    approve(home, Path("/other"), wider)  # every workspace has its own measure


def test_threat_39_a_strangers_first_wishes_are_put_to_the_person_who_is_there(tmp_path):
    home = Home(tmp_path / "home")
    hostile = config(grants=("github",), mounts=(mount("/root/.ssh", read_only=True),), sandbox=False)
    with pytest.raises(ApprovalNeeded, match="first run") as raised:
        approve(home, WORKSPACE, hostile, person=True)
    assert raised.value.asks == ("grant github", "mount /root/.ssh:/data:ro", "no gVisor sandbox")
    # Headless there is nobody to ask; what it gets is said.
    assert approve(home, WORKSPACE, hostile) == raised.value.asks
    assert approve(home, WORKSPACE, hostile) == ()


@pytest.mark.parametrize("modest", [config(policy="strict"), config(policy="permissive"), config(policy="")])
def test_a_first_run_that_asks_for_nothing_asks_nobody(tmp_path, modest):
    assert approve(Home(tmp_path / "home"), WORKSPACE, modest, person=True) == ()


def test_a_yes_counts_only_for_what_was_shown(tmp_path):
    home = Home(tmp_path / "home")
    approve(home, WORKSPACE, config())
    shown = ("grant github",)
    # Between question and answer the agent wrote one more wish into the file.
    with pytest.raises(ApprovalNeeded) as raised:
        approve(home, WORKSPACE, config(grants=("github", "openai")), accepted=shown)
    assert raised.value.asks == ("grant openai",)
    approve(home, WORKSPACE, config(grants=("github",)), accepted=shown)


def test_a_damaged_record_approves_nothing(tmp_path):
    home = Home(tmp_path / "home")
    approve(home, WORKSPACE, config(grants=("github",)))
    (record,) = home.approvals.iterdir()
    record.write_bytes(b"{")
    with pytest.raises(ApprovalNeeded):
        approve(home, WORKSPACE, config(grants=("github",)))


def test_naming_hosts_after_an_open_network_asks_nobody(tmp_path):
    before = asks_of(tmp_path, config(policy="permissive"))
    assert widened(before, asks_of(tmp_path, config(policy="strict", allow=("pypi.org",)))) == ()


def wanting(access):
    return AgentConfig(dependencies=(parse_dependency(f"docker:{access}"),))


@pytest.mark.parametrize("access", ["host", "dind"])
def test_docker_is_never_given_unasked_not_even_by_a_headless_first_run(tmp_path, access):
    home = Home(tmp_path / "home")
    for person in (False, True):
        with pytest.raises(ApprovalNeeded, match=f"docker:{access}: .* ROOT ON THIS MACHINE") as raised:
            approve(home, WORKSPACE, wanting(access), person=person)
    assert approve(home, WORKSPACE, wanting(access), accepted=raised.value.asks) == ()
    approve(home, WORKSPACE, wanting(access))
    approve(home, WORKSPACE, AgentConfig())
    with pytest.raises(ApprovalNeeded, match=f"docker:{access}"):
        approve(home, WORKSPACE, wanting(access))


def test_one_way_to_docker_is_not_the_other(tmp_path):
    home = Home(tmp_path / "home")
    approve(home, WORKSPACE, wanting("dind"), anything=True)
    with pytest.raises(ApprovalNeeded, match="docker:host"):
        approve(home, WORKSPACE, wanting("host"))
