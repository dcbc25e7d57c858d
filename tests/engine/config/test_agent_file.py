"""agent.yaml as people write it, and every way to get it wrong: the error says where and what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.config import AgentConfig, HooksConfig, load_agent_config
from engine.errors import ConfigError

CANARY = "canary-7f3a-secret-value"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    (path / "data").mkdir()
    return path


def load(workspace: Path, text: str | bytes) -> AgentConfig:
    (workspace / "agent.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_agent_config(workspace).config


def refused(workspace: Path, text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(workspace, text)
    assert caught.value.file == workspace / "agent.yaml"
    assert len(caught.value.lines()) <= 3
    return caught.value


def test_a_whole_file_is_read(workspace: Path) -> None:
    config = load(
        workspace,
        """
        name: my-agent
        agent: claude
        version: 1.10
        image: registry.local:5000/agents/py@sha256:abc
        runtime: docker
        grants: [github, "ssh:github.com"]
        env:
          PORT: 8080
          WHEN: 22:22
          RATIO: 1.10
          EMPTY: ""
          TEXT: "yes"
        mounts:
          - data:/data:ro
          - {source: ./data, target: /other/../more/}
        network:
          policy: strict
          allow: [API.example.com., "*.example.org", "example.net:8443"]
        command: [python3, -c, "print(1)\\n", 3]
        interactive: yes
        sandbox: none
        container: {memory: 512, cpus: 1.5, dns: [1.1.1.1, "2606:4700::1111"]}
        ports: {web: 3000, My-API: 8080}
        volumes:
          - cache:/cache
          - {name: models.v2, target: /opt/../models/, readonly: true}
        dependencies: [node@20, jq]
        hooks: {post_build_root: "echo 1\\n echo 2", pre_run: "true"}
        """,
    )
    assert (config.name, config.agent, config.version) == ("my-agent", "claude", "1.10")
    assert [(port.name, port.number, port.variable) for port in config.ports] == [
        ("web", 3000, "WEB"),
        ("My-API", 8080, "MY_API"),
    ]
    assert list(map(str, config.volumes)) == ["cache:/cache:rw", "models.v2:/models:ro"]
    assert config.image == "registry.local:5000/agents/py@sha256:abc"
    assert config.runtime == "docker"
    assert config.grants == ("github", "ssh:github.com")
    assert config.env == {"PORT": "8080", "WHEN": "22:22", "RATIO": "1.10", "EMPTY": "", "TEXT": "yes"}
    assert [(m.source, m.target, m.read_only) for m in config.mounts] == [
        (workspace / "data", "/data", True),
        (workspace / "data", "/more", False),
    ]
    assert config.network.policy == "strict"
    assert config.network.allow == ("api.example.com", "*.example.org", "example.net:8443")
    assert config.command == ("python3", "-c", "print(1)\n", "3")
    assert config.interactive is True
    assert config.sandbox is False
    assert (config.container.memory, config.container.cpus) == (512, 1.5)
    assert config.container.dns == ("1.1.1.1", "2606:4700::1111")
    assert [str(each) for each in config.dependencies] == ["node@20", "jq"]
    assert config.hooks == HooksConfig(post_build_root="echo 1\n echo 2", pre_run="true")


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "---\n", "{}", "~", "grants:\nenv:\nmounts:\nnetwork:"]
)
def test_nothing_said_means_defaults(workspace: Path, text: str) -> None:
    assert load(workspace, text) == AgentConfig()


def test_no_file_means_defaults(workspace: Path) -> None:
    loaded = load_agent_config(workspace)
    assert loaded.config == AgentConfig()
    assert loaded.file is None


def test_moat_yaml_is_read_too(workspace: Path) -> None:
    (workspace / "moat.yaml").write_text("name: other")
    loaded = load_agent_config(workspace)
    assert (loaded.config.name, loaded.file) == ("other", workspace / "moat.yaml")


def test_both_files_are_an_error(workspace: Path) -> None:
    for name in ("agent.yaml", "moat.yaml"):
        (workspace / name).write_text("name: x")
    with pytest.raises(ConfigError, match=r"agent\.yaml and moat.yaml, found both"):
        load_agent_config(workspace)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("command: npm test && echo done", ("sh", "-c", "npm test && echo done")),
        ("command: |\n  one\n  two\n", ("sh", "-c", "one\ntwo\n")),
        ('command: [git, commit, -m, ""]', ("git", "commit", "-m", "")),
    ],
)
def test_a_line_is_run_by_a_shell_and_a_list_as_it_is(
    workspace: Path, text: str, command: tuple[str, ...]
) -> None:
    assert load(workspace, text).command == command


@pytest.mark.parametrize(
    ("text", "sandbox"),
    [("false", False), ("none", False), ("no", False), ("true", True), ("gvisor", True), ('"false"', False)],
)
def test_sandbox_words(workspace: Path, text: str, sandbox: bool) -> None:
    assert load(workspace, f"sandbox: {text}").sandbox is sandbox


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("name: a\ngrnats: [github]", 2, "grnats", "unknown key 'grnats'.*one of agent, .*'grants'"),
        ("network:\n  alow: [x.test]", 2, "network.alow", "unknown key 'alow' in network.*'allow'"),
        ("container: {mem: 1}", 1, "container.mem", "one of cpus, dns, memory"),
        ("Name: x", 1, "Name", "Did you mean 'name'"),
        ("name: 12", 1, "name", "found the number 12.*quotes"),
        ("name: ../x", 1, "name", r"name of letters.*found '\.\./x'"),
        ("name:", 1, "name", "found nothing"),
        ("name: [a]", 1, "name", "found a list"),
        ("agent: {a: b}", 1, "agent", "found a mapping"),
        ("version: yes", 1, "version", "found the boolean yes"),
        ("image: 'a b'", 1, "image", "expected an image"),
        ("image: -rf", 1, "image", "expected an image"),
        (
            "runtime: dokcer",
            1,
            "runtime",
            "expected docker, bubblewrap or apple, found 'dokcer'.*Did you mean 'docker'",
        ),
        ("grants: github", 1, "grants", "expected a list of provider names, found 'github'"),
        ("grants: [github, github]", 1, r"grants\[1\]", "each grant once"),
        ("grants:\n  - github\n  - ../x", 3, r"grants\[1\]", r"provider name.*'\.\./x'"),
        ("env: [A=1]", 1, "env", "expected a mapping"),
        ("env:\n  A: true", 2, "env.A", "expected text or a number, found boolean.*quotes"),
        ("env:\n  A:", 2, "env.A", "found nothing"),
        ("env: {1A: x}", 1, "env.1A", "variable name"),
        ("mounts: [data]", 1, r"mounts\[0\]", "expected SRC:DST"),
        ("mounts: ['nope:/data']", 1, r"mounts\[0\]", "no such file or directory"),
        ("mounts: ['data:/d', 'data:/d/']", 1, r"mounts\[1\]", "each target once"),
        ("mounts: [{source: data}]", 1, r"mounts\[0\]", "found no target"),
        ("mounts: [{source: data, target: /d, mode: rx}]", 1, r"mounts\[0\].mode", "ro or rw"),
        ("network: strict", 1, "network", "expected a mapping"),
        ("network: {policy: strct}", 1, "network.policy", "permissive or strict.*'strct'.*'strict'"),
        ("network: {transparent: 1}", 1, "network.transparent", "true or false"),
        ("network: {allow_private: ['a:1']}", 1, "network.allow_private", "unknown key"),
        ("network: {passthrough: [1.2.3.4]}", 1, r"network.passthrough\[0\]", "cannot be allowed here"),
        ("network:\n  allow:\n    - https://x.test/", 3, r"network.allow\[0\]", "no scheme"),
        ("command: []", 1, "command", "found an empty list"),
        ("command: 7", 1, "command", "found the number 7"),
        ("command: [echo, true]", 1, r"command\[1\]", "boolean true.*quotes"),
        ("command: ['', x]", 1, "command", "expected a program"),
        ('command: "a\\0b"', 1, "command", "NUL"),
        ("interactive: 1", 1, "interactive", "true or false, found the number 1"),
        ("interactive: 'true'", 1, "interactive", "true or false"),
        ("sandbox: gvisr", 1, "sandbox", "Did you mean 'gvisor'"),
        ("sandbox:", 1, "sandbox", "found nothing"),
        ("container: {memory: 512m}", 1, "container.memory", "whole number of MB.*'512m'"),
        ("container: {memory: 0512}", 1, "container.memory", "whole number"),
        ("container: {memory: -1}", 1, "container.memory", "from 6"),
        ("container: {cpus: .inf}", 1, "container.cpus", "number of cpus"),
        ("container: {cpus: 0}", 1, "container.cpus", "number of cpus"),
        ("container: {dns: [dns.test]}", 1, r"container.dns\[0\]", "an IP address"),
        ("dependencies: node@20", 1, "dependencies", "expected a list"),
        ('hooks: {pre_run: "a\\0b"}', 1, "hooks.pre_run", "NUL"),
        (f"hooks: {{pre_run: {'x' * 65537}}}", 1, "hooks.pre_run", "at most 65,536 bytes"),
        ("hooks: {post_run: x}", 1, "hooks.post_run", "pre_run"),
        ("secrets: {A: plain}", 1, "secrets.A", "a reference to a secret"),
        ("secrets: {HTTP_PROXY: 'env://X'}", 1, "secrets.HTTP_PROXY", "reserved"),
        ("secrets: {A: 'env://X'}\nenv: {A: x}", 1, "secrets", "set in env too"),
        ("ports: {web: 70000}", 1, "ports.web", "from 1 to 65535"),
        ("ports: {web: 0}", 1, "ports.web", "from 1 to 65535"),
        ("ports: [3000]", 1, "ports", "mapping of names to ports"),
        ("ports: {'3000': 3000}", 1, "ports.3000", "begins with a letter"),
        ("ports: {'a=b': 1}", 1, "ports.a=b", "expected a name"),
        ("ports:\n  a-b: 1\n  A_b: 2", 3, "ports.A_b", "the same variables"),
        ("volumes: {cache: /cache}", 1, "volumes", "a list of volumes"),
        ("volumes: [cache]", 1, r"volumes[0]", "expected NAME:TARGET"),
        ("volumes: ['cache:/cache:rx']", 1, r"volumes[0]", "expected NAME:TARGET"),
        ("volumes: [{name: cache}]", 1, r"volumes[0]", "found no target"),
        ("volumes: [{name: cache, target: /c, mode: ro}]", 1, r"volumes[0].mode", "unknown key 'mode'"),
        ("volumes: [{name: cache, target: /c, readonly: 1}]", 1, r"volumes[0].readonly", "true or false"),
        ("volumes: ['../cache:/c']", 1, r"volumes[0]", "name of small letters"),
        ("volumes: ['a:/a', 'a:/b']", 1, r"volumes[1]", "named twice"),
        ("volumes: ['a:/a', 'b:/a/b']", 1, r"volumes[1]", "overlaps the volume a at /a"),
    ],
)
def test_errors_name_line_key_expected_and_found(
    workspace: Path, text: str, line: int, key: str, words: str
) -> None:
    error = refused(workspace, text)
    assert error.line == line
    assert pytest.RaisesExc(ConfigError, match=words).matches(error), str(error)
    assert error.what.startswith(f"{workspace / 'agent.yaml'}:{line}: ")
    assert key.replace("\\", "") == error.key


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "https_proxy", "No_Proxy", "NODE_USE_ENV_PROXY", "MOAT_RUN_ID"]
)
def test_proxy_variables_are_refused_with_their_name(workspace: Path, name: str) -> None:
    error = refused(workspace, f"env:\n  OK: x\n  {name}: {CANARY}\n")
    assert (error.line, error.key) == (3, f"env.{name}")
    assert name in str(error)
    assert "reserved" in str(error)
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        f"env: {{A B: {CANARY}}}",
        f"env: {{A: [{CANARY}]}}",
        f"env: {{A: {{{CANARY}: 1}}}}",
        f'env: {{A: "{CANARY}\\0"}}',
        f"env: {CANARY}",
        f"secrets: {{A: {CANARY}}}",
        f"env:\n  A: '{CANARY}\n",
        f"env:\n  A: {CANARY}\n  A: {CANARY}\n",
    ],
)
def test_no_error_quotes_a_value_of_env_or_secrets(workspace: Path, text: str) -> None:
    error = refused(workspace, text)
    assert CANARY not in str(error)
    assert CANARY not in repr(error)
    assert error.__cause__ is None


def test_moats_home_cannot_be_mounted(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "credentials").mkdir(parents=True)
    for source in (tmp_path, tmp_path / "home", tmp_path / "home" / "credentials"):
        assert "Moat's credentials" in str(refused(workspace, f"mounts: ['{source}:/data']"))
    other = tmp_path / "other"
    other.mkdir()
    (workspace / "agent.yaml").write_text(f"mounts: ['{other}:/data']")
    with pytest.raises(ConfigError, match="Moat's credentials"):
        load_agent_config(workspace, (other,))


def test_a_pipe_a_directory_and_a_dangling_link_are_no_configuration(workspace: Path) -> None:
    file = workspace / "agent.yaml"
    file.mkdir()
    with pytest.raises(ConfigError, match="expected a file, found a directory"):
        load_agent_config(workspace)
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="expected a file"):
        load_agent_config(workspace)
    file.unlink()
    file.symlink_to(workspace / "nowhere")
    with pytest.raises(ConfigError, match="No such file"):
        load_agent_config(workspace)


def test_a_link_planted_by_the_agent_shows_no_file_of_the_hosts(workspace: Path, tmp_path: Path) -> None:
    """Its text would stand in an error, or its `env` be given to the agent."""
    key = tmp_path / "encryption.key"
    for content in ("akM2PjKxvwocST4xuhPqM6P8eJnRyC/m3ukLBLPL/aw=", "env: {SECRET: akM2PjKxvwocST4x}"):
        key.write_text(content)
        (workspace / "agent.yaml").unlink(missing_ok=True)
        (workspace / "agent.yaml").symlink_to(key)
        with pytest.raises(ConfigError, match="found a symbolic link") as caught:
            load_agent_config(workspace)
        assert "akM2" not in str(caught.value)
