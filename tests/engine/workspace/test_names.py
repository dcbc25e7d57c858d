"""What a path says: which files are never copied, which may act by themselves, which come last."""

from __future__ import annotations

import pytest

from engine.workspace.names import is_last, is_object_store, is_secret, runs_later


@pytest.mark.parametrize(
    "path",
    [".env", "app/.env.local", "tls/server.PEM", "a.key", "id_ed25519", ".npmrc", "x/.netrc",
     ".aws/credentials", "home/.docker/config.json", "terraform.tfstate", "gcp-service-account.json"],
)  # fmt: skip
def test_secret_by_name(path):
    assert is_secret(path)


@pytest.mark.parametrize("path", ["README.md", "src/keys.py", "config.json", "environment.py", "monkey"])
def test_not_secret_by_name(path):
    assert not is_secret(path)


@pytest.mark.parametrize(
    "path",
    [".git/hooks/post-checkout", "vendor/lib/.git/hooks/pre-commit", ".git/config", ".git/modules/x/config",
     "agent.yaml", ".envrc", ".vscode/tasks.json", ".github/workflows/ci.yml", "sub/.gitattributes", ".git"],
)  # fmt: skip
def test_what_runs_on_somebodys_machine(path):
    assert runs_later(path)


@pytest.mark.parametrize(
    "path", ["src/main.py", ".git/HEAD", ".git/hooks/pre-commit.sample", "docs/agent.yaml.md"]
)
def test_what_does_not(path):
    assert not runs_later(path)


def test_where_git_keeps_its_history():
    assert is_object_store(".git/objects")
    assert is_object_store("lib/.git/lfs")
    assert is_object_store(".git/modules/lib/objects")
    assert not is_object_store("objects")
    assert not is_object_store(".git/hooks")


def test_packages_come_last():
    assert is_last("web/node_modules/left-pad/index.js")
    assert not is_last("src/node_modules.py")
