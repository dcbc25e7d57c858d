"""SSH grants with real servers, a real agent, and git in containers under both runtimes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.sshd import Agent, Sshd

pytestmark = [pytest.mark.docker, pytest.mark.sshd]
OPEN = [pytest.param(("--no-sandbox",), id="runc"), pytest.param((), marks=pytest.mark.gvisor, id="gvisor")]
CLOSED = pytest.param(("--runtime", "bubblewrap"), marks=pytest.mark.bubblewrap, id="bubblewrap")
SANDBOXES = pytest.mark.parametrize("flags", OPEN)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    agent = Agent(tmp_path_factory.mktemp("s") / "a")
    yield agent
    agent.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory, agent):
    """Two servers that would both take the agent's key."""
    directory = tmp_path_factory.mktemp("sshd")
    pair = Sshd(directory / "granted", agent.public), Sshd(directory / "other", agent.public)
    yield pair
    for server in pair:
        server.close()


@pytest.fixture
def person(moat, agent, servers, tmp_path):
    """Whose known_hosts knows both, and whose agent is the real one."""
    home = tmp_path / "person"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(
        servers[0].known_hosts_line("git.test")
        + servers[0].known_hosts_line("git.test", port=22)
        + servers[1].known_hosts_line("other.test")
    )
    moat.env |= {"HOME": str(home), **agent.env}
    return moat


def clone(server: Sshd, name: str) -> str:
    """A script that clones from `server`, which the container reaches at its gateway."""
    gateway = "$(getent hosts host.docker.internal | cut -d' ' -f1)"
    ssh = f"ssh -o BatchMode=yes -o HostKeyAlias={name} -p {server.port}"
    url = f"{server.user}@{gateway}:{server.repository}"
    return f'cd /tmp && GIT_SSH_COMMAND="{ssh}" git clone -q {url} got && cat got/README'


@SANDBOXES
def test_the_granted_host_works_and_the_same_key_at_another_is_refused(
    person, agent, servers, workspace, flags
):
    granted, other = servers
    person("grant", "ssh", "--host", f"git.test:{granted.port}")
    by_name = f"cd /tmp && git clone -q {granted.user}@git.test:{granted.repository} named && echo by name"
    script = (
        f"ssh-add -l; {by_name}; " + clone(granted, f"[git.test]:{granted.port}") + "; rm -rf got; "
        + clone(other, "other.test").replace("BatchMode=yes", "BatchMode=yes -o StrictHostKeyChecking=no")
        + " || echo refused; ssh-add -D; true"
    )  # fmt: skip
    place = f"git.test:{granted.port}:127.0.0.1:{granted.port}"
    command = (
        "--no-ui", "run", "-n", "cloner", "-g", "ssh:git.test", "--connect-to", place, *flags, workspace,
        "--", "sh", "-c",
    )  # fmt: skip
    done = person(*command, script, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert agent.fingerprint() in out, err
    assert "by name\n" in out, err
    assert "cloned over ssh" in out, err
    assert "refused" in out
    (tunnel,) = person.requests("cloner")  # what goes by an address takes an open network's direct way
    assert (tunnel["url"], tunnel["rule"]) == (f"git.test:{granted.port}", "ssh")
    assert "Permission denied" in err
    assert done.returncode == 0, err
    entries = [entry["data"] for entry in person.entries("cloner") if entry["type"] == "ssh"]
    allowed = [entry for entry in entries if entry["action"] == "sign_allowed"]
    assert {entry["host"] for entry in allowed} == {"git.test"}
    assert {entry["fingerprint"] for entry in allowed} == {agent.fingerprint()}
    denied = [entry for entry in entries if entry["action"] == "sign_denied"]
    assert any("no host of an ssh grant" in entry["error"] for entry in denied)
    assert any(entry["action"] == "list" for entry in entries)
    assert json.loads(person("audit", "cloner", "--json").stdout)["valid"] is True
    private = agent.key.read_text().splitlines()[2]
    assert person.files_with(private) == []
    (grant,) = (item for item in person.json("grant", "list") if item["provider"] == "ssh:git.test")
    assert grant["account"] == agent.fingerprint()
    assert grant["last_used_run"] == person.run_named("cloner")["id"]
    assert not (person.home / "runs" / person.run_named("cloner")["id"] / "ssh").exists()


# Nothing about SSH is configured: what a person types who knows of no proxy.
ERRANDS = """
cd /tmp
git clone -q USER@git.test:REPOSITORY got && cat got/README
cd got && git -c user.name=a -c user.email=a@a commit -q --allow-empty -m x && git push -q origin HEAD:NEW
scp -q USER@git.test:REPOSITORY/HEAD /tmp/head && cat /tmp/head
mkdir -p ~/.ssh && printf 'Host mine\\n  HostName git.test\\n  User USER\\n' > ~/.ssh/config
head -c 3000000 /dev/zero | ssh mine wc -c

# The same key elsewhere: no way there, and no signature where the name leads to another server
ssh -o BatchMode=yes USER@other.test true || echo no way
ssh -o ProxyCommand='/moat/ssh/connect other.test 22' USER@other.test true || echo refused
any="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null"
ssh -o BatchMode=yes $any USER@moved.test true || echo not signed

# The tunnel is for SSH
curl -sS --max-time 20 -p http://git.test:22/ || echo cut
curl -sSk --max-time 20 https://git.test:22/ || echo cut
curl -sSk --max-time 20 https://git.test/ -o /dev/null -w '%{http_code} %header{x-moat-rule}\\n'
"""


@pytest.mark.parametrize("flags", [*OPEN, CLOSED])
def test_in_strict_too_and_only_the_granted_host(person, servers, workspace, flags):
    granted, other = servers
    person("grant", "ssh", "--host", "git.test")
    known = person.home.parent / "person" / ".ssh" / "known_hosts"
    # `moved.test` was granted as the same server, but its name leads to the other one now
    known.write_text(known.read_text() + granted.known_hosts_line("moved.test", port=22))
    person("grant", "ssh", "--host", "moved.test")
    branch = flags[-1].strip("-") if flags else "gvisor"  # the server keeps what is pushed
    script = ERRANDS
    for word, meaning in (("USER", granted.user), ("REPOSITORY", granted.repository), ("NEW", branch)):
        script = script.replace(word, str(meaning))
    done = person(
        "--no-ui", "run", "-n", "errands", "--policy", "strict", "-g", "ssh:git.test", "-g", "ssh:moved.test",
        "--connect-to", f"git.test:22:127.0.0.1:{granted.port}",
        "--connect-to", f"moved.test:22:127.0.0.1:{other.port}",
        *flags, workspace, "--", "sh", "-c", script, check=False,
    )  # fmt: skip
    out, err = done.stdout.decode().splitlines(), done.stderr.decode()
    assert out == [
        "cloned over ssh", "ref: refs/heads/main", "3000000", "no way", "refused", "not signed", "cut", "cut",
        "403 not-allowed",
    ], err  # fmt: skip
    assert "moat: other.test:22 is no SSH server of this run's grants" in err
    assert "Permission denied" in err
    assert "no SSH server can be reached" not in err

    entries = [entry["data"] for entry in person.entries("errands")]
    signed = [entry for entry in entries if entry.get("action") == "sign_allowed"]
    assert {entry["host"] for entry in signed} == {"git.test"}
    assert any(entry.get("action") == "sign_denied" for entry in entries)
    passed = [entry for entry in entries if entry.get("rule") == "ssh"]
    assert {entry["operation"] for entry in passed} >= {"CONNECT git.test:22", "CONNECT moved.test:22"}
    requests = person.requests("errands")
    tunnels = [each for each in requests if each["rule"] == "ssh" and each["host"] == "git.test"]
    assert len(tunnels) == len(signed) == 4
    assert max(each["bytes_out"] for each in tunnels) > 3_000_000
    rules = [each["rule"] for each in requests if each["decision"] == "denied"]
    assert rules == ["no-ssh-grant", "not-ssh", "not-ssh", "not-allowed"]
    assert json.loads(person("audit", "errands", "--json").stdout)["valid"] is True


def test_what_stands_in_the_way_is_said(person, servers, workspace, agent):
    """A host in no known_hosts, no agent, a grant that is not there, a key that left the agent."""
    unknown = person("grant", "ssh", "--host", f"127.0.0.1:{servers[0].port}", check=False)
    assert unknown.returncode == 125
    assert "is not in your known_hosts; it shows ssh-ed25519 SHA256:" in unknown.stderr.decode()
    missing = person("run", "-g", "ssh:git.test", workspace, "--", "true", check=False)
    assert "moat grant ssh --host git.test" in missing.stderr.decode()
    silent = person("grant", "ssh", "--host", "git.test", check=False, SSH_AUTH_SOCK="")
    assert "SSH_AUTH_SOCK" in silent.stderr.decode()
    person("grant", "ssh", "--host", f"git.test:{servers[0].port}")
    assert "is in no" not in person("grant", "show", "ssh:git.test").stdout.decode()
    mapping = json.loads((person.home / "credentials" / "ssh.json").read_text())["mappings"][0]
    assert mapping["host"] == "git.test"
    edited = mapping | {"key_fingerprint": "SHA256:" + "A" * 43}
    (person.home / "credentials" / "ssh.json").write_text(json.dumps({"mappings": [edited]}))
    gone = person("--no-ui", "run", "-g", "ssh:git.test", workspace, "--", "true", check=False)
    assert "is not in your SSH agent" in gone.stderr.decode()
    person("revoke", "ssh:git.test")
    assert person.json("grant", "list") == []
    assert Path(person.home / "credentials" / "ssh.json").stat().st_mode & 0o777 == 0o600
