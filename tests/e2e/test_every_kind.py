"""All kinds of grants and secrets in one run, each used for real; then nothing may hold their values."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from e2e.conftest import Moat, docker, wait_until
from support.aws import OWN_SECRET, ROLE, Aws
from support.every_service import TOKENS, EveryService
from support.kinds import PROVIDERS, canary, granted, places, store_all, stored, values
from support.sshd import Agent, Sshd
from support.threaded import ThreadedUpstream

from engine.granting import save_grant
from engine.home import Home

SCRIPT = Path(__file__).with_name("user_of_all.py")
SDK = Path(boto3.__file__).parent.parent
OLD = "canary_linear-that-expired_0123456789"
OAUTH = "sk-ant-oat01-canary-first"
SECRETS = {"DB": "op://Work/db/password", "KEY": "ssm:///prod/key", "LICENSE": "env://MY_LICENSE"}
VALUES = {
    "DB": "canary-of-1password-4711",
    "KEY": "canary-of-parameter-store",
    "LICENSE": "canary-of-mine-0815",
}
LIMIT = 3
GRANTS = [
    *(name for name in PROVIDERS if name not in ("github", "openai")),
    "github:ro",
    f"openai;max_requests={LIMIT + 3}",
    "aws",
    "ssh:git.test",
]
USE_S3 = """
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="things")
s3.put_object(Bucket="things", Key="note", Body=b"kept in s3")
print(s3.get_object(Bucket="things", Key="note")["Body"].read().decode())
"""
FAILING = """
import sys
from engine.run import supervisor
async def fail(home, spec, granted, *rest):
    raise ValueError([each.values for each in granted.injections], granted.hidden, granted.secrets.values)
supervisor.launch = fail
from moat_tui.cli.main import main
sys.exit(main())
"""
SANDBOXES = [
    pytest.param("standard", marks=[pytest.mark.docker, pytest.mark.sshd]),
    pytest.param("gvisor", marks=[pytest.mark.gvisor, pytest.mark.sshd]),
]


class Machine:
    """What stands around the runs of this module: the services, an ssh-agent, a server, AWS."""

    def __init__(self, root: Path) -> None:
        self.places = places()
        self.service = ThreadedUpstream(EveryService(self.places, _made(root / "services")))
        self.aws = Aws(_made(root / "aws"))
        self.agent = Agent(root / "a")
        self.sshd = Sshd(root / "sshd", self.agent.public)
        self.trusted = root / "trusted.pem"
        self.trusted.write_bytes(self.service.upstream.ca_file.read_bytes() + self.aws.ca_file.read_bytes())
        ssm = {
            "AWS_ENDPOINT_URL_SSM": self.aws.env["AWS_ENDPOINT_URL_STS"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.env = {**self.aws.env, **self.agent.env, **ssm, "MY_LICENSE": VALUES["LICENSE"]}
        client = boto3.client(
            "ssm", "us-east-1", endpoint_url=ssm["AWS_ENDPOINT_URL_SSM"],
            aws_access_key_id="x", aws_secret_access_key="y",
        )  # fmt: skip
        client.put_parameter(Name="/prod/key", Value=VALUES["KEY"], Type="SecureString")

    def flags(self) -> list[str]:
        words = [*self.service.flags(), *self.aws.flags()]
        entries = [word for word in words if word.count(":") == 3]
        return [
            *(part for entry in entries for part in ("--connect-to", entry)),
            "--upstream-ca",
            str(self.trusted),
        ]

    def clone(self) -> str:
        gateway = "$(getent hosts host.docker.internal | cut -d' ' -f1)"
        ssh = f"ssh -o BatchMode=yes -o HostKeyAlias=[git.test]:{self.sshd.port} -p {self.sshd.port}"
        url = f"{self.sshd.user}@{gateway}:{self.sshd.repository}"
        return f'cd /tmp && GIT_SSH_COMMAND="{ssh}" git clone -q {url} got && cat got/README'

    def close(self) -> None:
        self.sshd.close()
        self.agent.close()
        self.aws.close()
        self.service.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("m"))
    yield machine
    machine.close()


@pytest.fixture(scope="module", params=SANDBOXES)
def run(request, machine, tmp_path_factory):
    """The agent's account (`out`), what Docker and this machine knew of it meanwhile, and more."""
    base = tmp_path_factory.mktemp(f"all-{request.param}")
    moat, person, workspace = Moat(base / "home"), _made(base / "person"), _made(base / "workspace")
    clean = {name: value for name, value in moat.env.items() if not name.startswith("AWS_")}
    moat.env = {**clean, **machine.env, "HOME": str(person), "PATH": f"{_op(base / 'tools')}:{clean['PATH']}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOAT_KEYRING_BACKEND", "file")
        store_all(Home(moat.home))
        save_grant(Home(moat.home), "linear", OLD, source="stdin")
    _log_in_to_claude(person, machine.service.upstream)
    (person / ".ssh").mkdir()
    (person / ".ssh" / "known_hosts").write_text(machine.sshd.known_hosts_line("git.test"))
    moat("grant", "claude", "--no-validate")
    moat("grant", "aws", "--role", ROLE)
    moat("grant", "ssh", "--host", f"git.test:{machine.sshd.port}")
    needles = [*values(), OLD, OAUTH, "refresh-canary", "canary-access", OWN_SECRET]
    needles += [_coded(f"robot:{value}") for value in values()] + [_coded(value) for value in values()]
    shutil.copy(SCRIPT, workspace)
    (workspace / "use_s3.py").write_text(USE_S3)
    shown = [
        (
            p.grant,
            p.host,
            p.header,
            p.value.replace(p.value.rpartition(" ")[2], granted(p.grant).placeholders[0]),
        )
        for p in machine.places
        if p.grant != "linear"
    ]
    task = {
        "places": shown, "limit": LIMIT + 1, "clone": machine.clone(), "secrets": list(SECRETS),
        "needles": [needle[::-1] for needle in needles],
        "control": granted("github").placeholders[0][::-1],
    }  # fmt: skip
    (workspace / "task.json").write_text(json.dumps(task))
    chosen = [word for grant in GRANTS for word in ("-g", grant)]
    chosen += [word for name, where in SECRETS.items() for word in ("--secret", f"{name}={where}")]
    moat(
        "run", workspace, "-d", "-n", "all", *chosen, *machine.flags(),
        "-m", f"{SDK}:/sdk:ro", "-e", "PYTHONPATH=/sdk",
        *(["--no-sandbox"] if request.param == "standard" else []),
        "--", "python3", "/workspace/user_of_all.py",
    )  # fmt: skip
    try:
        wait_until((workspace / "refused").exists, 120)
        linear = ("grant", "show", "linear")
        wait_until(lambda: moat.json(*linear)["state"] != "valid")
        refused = moat.json(*linear)
        moat("grant", "linear", "--stdin", "--no-validate", given=stored("linear").encode())
        wait_until((workspace / "done.json").exists, 120)
        info = moat.run_named("all")
        known = docker("inspect", info["container_id"]) + docker("network", "inspect", info["network"])
        known += "".join(_readable(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
        known += _readable(Path(f"/proc/{info['supervisor_pid']}/environ")).replace(OWN_SECRET, "")
        (workspace / "go").touch()
        wait_until(lambda: moat.run_named("all")["state"] == "exited")
        yield {
            "moat": moat, "out": json.loads((workspace / "done.json").read_text()), "known": known,
            "needles": needles, "refused": refused, "info": moat.run_named("all"), "sandbox": request.param,
            "person": person, "chosen": chosen, "workspace": workspace,
        }  # fmt: skip
    finally:
        moat.close()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _op(directory: Path) -> Path:
    tool = _made(directory) / "op"
    tool.write_text(f"#!/bin/sh\nprintf %s {VALUES['DB']}\n")
    tool.chmod(0o755)
    return directory


def _log_in_to_claude(person: Path, service: EveryService) -> None:
    """A login that ends in a minute, as Claude Code keeps it."""
    kept = {"accessToken": OAUTH, "refreshToken": service.good, "expiresAt": int((time.time() + 60) * 1000)}
    _made(person / ".claude")
    (person / ".claude" / ".credentials.json").write_text(json.dumps({"claudeAiOauth": kept}))


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()[8:-4]


def _readable(path: Path) -> str:
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:
        return ""


def test_every_grant_is_used_for_real(run, machine):
    assert run["info"]["sandbox"] == run["sandbox"]
    used = run["out"]["used"]
    assert used == {f"{p.grant} {p.host}": 200 for p in machine.places if p.grant != "linear"}
    assert "kept in s3" in run["out"]["aws"]
    assert "cloned over ssh" in run["out"]["ssh"]
    assert run["out"]["secrets"] == {n: hashlib.sha256(v.encode()).hexdigest() for n, v in VALUES.items()}
    assert run["out"]["npmrc"].count("npm_moatProxyInjected00000000") == 2
    uses = {entry["data"]["name"] for entry in run["moat"].entries("all") if entry["type"] == "credential"}
    assert uses == {*PROVIDERS, "aws"}


def test_scopes_and_limits_hold(run):
    status, said = run["out"]["scope"]
    assert (status, "grant-scope" in said) == (403, True)
    assert run["out"]["limit"] == [200] * LIMIT + [403]
    rules = [entry["data"].get("rule") for entry in run["moat"].entries("all") if entry["type"] == "policy"]
    assert {"grant-scope", "grant-max-requests"} <= set(rules)


def test_a_refused_credential_is_named_and_a_new_one_taken_up_live(run):
    assert run["out"]["refused"] == 401
    assert run["refused"]["state"] == "refused"
    assert "moat grant linear" in run["refused"]["problem"]
    assert run["moat"].json("grant", "show", "linear")["state"] == "valid"
    actions = {
        (e["data"]["name"], e["data"]["action"])
        for e in run["moat"].entries("all")
        if e["type"] == "credential"
    }
    assert ("linear", "renew") in actions


def test_the_oauth_token_was_refreshed_on_the_host(run, machine):
    assert run["out"]["claude"] == 200
    assert machine.service.upstream.given >= 1
    kept = json.loads((run["person"] / ".claude" / ".credentials.json").read_text())["claudeAiOauth"]
    assert kept["accessToken"] == OAUTH  # Claude Code's own file is read, never written
    assert run["moat"].json("grant", "show", "claude")["state"] == "valid"
    assert not [request for request in run["moat"].requests("all") if request["host"] == TOKENS]


def test_threat_30_no_value_is_anywhere_inside(run):
    assert run["out"]["found"] == []
    assert {"env", "ps", "answers", "/moat/npm/npmrc", "/moat/aws/config"} <= set(run["out"]["looked_at"])
    control = run["out"]["control"]  # what is there is found
    assert "env" in control
    assert any(place.endswith("/environ") for place in control)


def test_threat_30_no_value_is_in_what_docker_and_this_machine_know(run):
    assert "MOAT_RUN_ID" in run["known"]
    assert "user_of_all.py" in run["known"]
    assert [needle for needle in run["needles"] if needle in run["known"]] == []


def test_threat_30_31_no_value_is_in_any_file_or_message_of_moats(run):
    moat = run["moat"]
    said = b"".join(
        moat(*words).stdout
        for words in (
            ("list", "--json"),
            ("grant", "list", "--all", "--json"),
            ("logs", "all"),
            ("trace", "all", "--json"),
        )
    ).decode()
    moat("audit", "all", "--export", moat.home / "proof.json")
    assert moat.json("audit", "all")["valid"] is True
    for needle in (*run["needles"], *VALUES.values()):
        assert moat.files_with(needle) == [], needle
        assert needle not in said, needle
    assert "xxxxxxxx" in said  # the services said the values again, and the agent printed what it saw of that


def test_threat_30_no_value_is_in_a_traceback(run):
    """Moat itself fails with everything opened, and the error's own text is all of it."""
    moat = run["moat"]
    words = ["--no-ui", "run", *run["chosen"], str(run["workspace"]), "--no-sandbox", "--", "true"]
    done = subprocess.run(
        [sys.executable, "-c", FAILING, *words],
        env=moat.env | {"MOAT_DEBUG": "1"},
        capture_output=True,
        timeout=120,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 125
    assert "in fail" in said
    assert "internal error: ValueError" in said
    for needle in (*run["needles"], *VALUES.values()):
        assert needle not in said
        assert moat.files_with(needle) == []


def test_every_kind_is_here():
    assert canary("mycorp") in values()
    assert {name.partition(":")[0].partition(";")[0] for name in GRANTS} == {*PROVIDERS, "aws", "ssh"}
