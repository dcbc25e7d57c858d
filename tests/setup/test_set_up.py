"""The set-up files: which Python is found, what the Makefile and CI call, and that nothing names a mirror."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIND = ROOT / ".ci" / "python.sh"
TOOLS = ("bash", "sort", "dirname", "cat", "sh")


class Shelf:
    """Directories of pretended interpreters. One answers as this Python does, but says another version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pyenv = root / "pyenv"
        (self.pyenv / "versions").mkdir(parents=True)
        self.tools = self.directory("tools")
        for tool in TOOLS:
            found = next(
                place / tool for place in (Path("/usr/bin"), Path("/bin")) if (place / tool).exists()
            )
            (self.tools / tool).symlink_to(found)

    def directory(self, name: str) -> Path:
        made = self.root / name
        made.mkdir(exist_ok=True)
        return made

    def python(self, place: Path, name: str, version: tuple[int, int]) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        script = place / name
        script.write_text(
            f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = {version}; '
            f'sys.executable = \'{script}\'; exec(sys.argv[1])" "$2"\n'
        )
        script.chmod(0o755)
        return script

    def broken(self, place: Path, name: str) -> None:
        """As a pyenv shim of a version that is not selected: it exists, runs, and fails."""
        script = place / name
        script.write_text('#!/bin/sh\necho "pyenv: $0: command not found" >&2\nexit 127\n')
        script.chmod(0o755)

    def find(self, *path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.tools / "bash"), str(FIND)],
            env={
                "PATH": os.pathsep.join(map(str, [*path, self.tools])),
                "PYENV_ROOT": str(self.pyenv),
                **environ,
            },
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_shim_that_fails_is_passed_over_for_the_next_of_its_name(shelf):
    shims, real = shelf.directory("shims"), shelf.directory("real")
    shelf.broken(shims, "python3.13")
    wanted = shelf.python(real, "python3.13", (3, 13))
    assert shelf.find(shims, real).stdout.strip() == str(wanted)


def test_pyenvs_own_versions_are_found_behind_shims_that_fail(shelf):
    shims = shelf.directory("shims")
    for name in ("python3.13", "python3.12", "python3"):
        shelf.broken(shims, name)
    wanted = shelf.python(shelf.pyenv / "versions" / "3.12.4" / "bin", "python", (3, 12))
    shelf.python(shelf.pyenv / "versions" / "3.11.7" / "bin", "python", (3, 11))
    assert shelf.find(shims).stdout.strip() == str(wanted)


def test_3_13_is_preferred_wherever_it_is_and_the_newest_of_it(shelf):
    place = shelf.directory("bin")
    shelf.python(place, "python3.12", (3, 12))
    shelf.python(shelf.pyenv / "versions" / "3.13.2" / "bin", "python", (3, 13))
    wanted = shelf.python(shelf.pyenv / "versions" / "3.13.10" / "bin", "python", (3, 13))
    assert shelf.find(place).stdout.strip() == str(wanted)


def test_a_plain_python3_counts_when_it_is_new_enough(shelf):
    place = shelf.directory("bin")
    wanted = shelf.python(place, "python3", (3, 14))
    assert shelf.find(place).stdout.strip() == str(wanted)


def test_an_old_python3_alone_is_an_error_with_a_remedy(shelf):
    place = shelf.directory("bin")
    shelf.python(place, "python3", (3, 11))
    finished = shelf.find(place)
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert "3.12" in finished.stderr
    assert "apt-get install" in finished.stderr


def test_a_python_that_is_named_is_the_only_candidate(shelf):
    place = shelf.directory("bin")
    shelf.python(place, "python3.13", (3, 13))
    named = shelf.python(shelf.directory("mine"), "python", (3, 12))
    assert shelf.find(place, MOAT_PYTHON=str(named)).stdout.strip() == str(named)
    refused = shelf.find(place, MOAT_PYTHON="/nonexistent/python")
    assert refused.returncode == 1
    assert "MOAT_PYTHON" in refused.stderr


# Plays the Python that makes the venv. `-m venv` leaves an interpreter that writes down what pip was asked.
VENV_PYTHON = """#!/bin/sh
case "$*" in
  *"-m venv"*) mkdir -p .venv/bin; : > .venv/pyvenv.cfg; cp "$0" .venv/bin/python ;;
  *"-m pip"*) echo "$*" >> pip.log; exit ${PIP_CODE:-0} ;;
  *sys.prefix*) echo "$PWD/.venv" ;;
  *ensurepip*) exit ${ENSUREPIP_CODE:-0} ;;
  *sys.executable*) echo "$0" ;;
  *python_version*) echo 3.13.7 ;;
  *version_info*) echo 3.13 ;;
esac
"""


class Clone:
    """A fresh clone's set-up files, with a Python that only plays."""

    def __init__(self, root: Path) -> None:
        self.root = root / "my clone"  # a space: people have them in paths
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        for name in ("pyproject.toml", "constraints.txt", ".python-version"):
            shutil.copy(ROOT / name, self.root)
        self.python = root / "my player"
        self.python.write_text(VENV_PYTHON)
        self.python.chmod(0o755)
        self.commands = root / "commands"
        self.commands.mkdir()

    def command(self, name: str, body: str) -> None:
        (self.commands / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.commands / name).chmod(0o755)

    def prepare(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.root / ".ci" / "venv.sh")],
            env={"PATH": f"{self.commands}:/usr/bin:/bin", "MOAT_PYTHON": str(self.python), **environ},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    @property
    def installs(self) -> list[str]:
        log = self.root / "pip.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_the_venv_is_made_once_and_then_left_alone(clone):
    first = clone.prepare()
    assert first.returncode == 0, first.stderr
    assert [line.split()[1] for line in first.stderr.splitlines()] == ["creating", "installing"]
    assert len(clone.installs) == 1
    assert "-e .[dev] -c constraints.txt" in clone.installs[0]
    second = clone.prepare()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len(clone.installs) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again_into_the_same_venv(clone, name):
    clone.prepare()
    (clone.root / ".venv" / "kept").touch()
    with (clone.root / name).open("a") as file:
        file.write("# changed\n")
    again = clone.prepare()
    assert "creating" not in again.stderr
    assert len(clone.installs) == 2
    assert (clone.root / ".venv" / "kept").exists()


def test_a_venv_whose_python_is_gone_is_made_anew(clone):
    clone.prepare()
    (clone.root / ".venv" / "bin" / "python").unlink()
    assert "creating" in clone.prepare().stderr


def test_a_failed_install_is_not_taken_for_a_finished_one(clone):
    assert clone.prepare(PIP_CODE="1").returncode != 0
    assert clone.prepare().returncode == 0
    assert len(clone.installs) == 2


def test_a_python_without_venv_gets_debians_package_for_it(clone, tmp_path):
    clone.command("id", "echo 0")
    clone.command("apt-get", f'echo "$*" >> {tmp_path}/apt.log')
    finished = clone.prepare(ENSUREPIP_CODE="1")
    assert finished.returncode == 0, finished.stderr
    assert "installing python3.13-venv" in finished.stderr
    assert "install -y --no-install-recommends python3.13-venv" in (tmp_path / "apt.log").read_text()


def test_when_that_fails_the_package_is_named(clone):
    clone.command("id", "echo 0")
    clone.command("apt-get", "exit 100")
    finished = clone.prepare(ENSUREPIP_CODE="1")
    assert finished.returncode == 1
    assert "apt-get install python3.13-venv" in finished.stderr
    assert not (clone.root / ".venv").exists()


def project_files() -> list[Path]:
    """Every text file of the project: what git knows, or would know if it were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [ROOT / name for name in listed if (ROOT / name).is_file() and not name.endswith((".svg", ".png"))]


# Written so that this file does not match itself.
MIRRORS = re.compile(
    r"--index[-]url|--extra-index[-]url|PIP_INDEX[_]URL|python[h]osted\.org|https?://[\w.-]*pypi[\w.-]*/"
    r"|deb\.debian[.]org|archive\.ubuntu[.]com|snapshot\.debian[.]org|find[-]links"
)


def test_no_file_names_a_package_index_or_mirror():
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in project_files()
        for match in MIRRORS.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_the_pattern_would_find_one():
    for text in ("pip install --index" + "-url x", "deb http://deb.debian" + ".org/debian bookworm main"):
        assert MIRRORS.search(text)


def test_constraints_are_exact_pins_and_nothing_else():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines == sorted(set(lines))
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.+]*", line)] == []


def test_every_dependency_is_pinned():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=\[; ]", item, maxsplit=1)[0].lower() for item in wanted}
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names - pinned == set()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("test", ["venv.sh", "moat doctor --fix", "ruff check", "mypy", "lint-imports", "pytest"]),
        ("demo", ["venv.sh", "moat_tui.demo.choice", "moat doctor --fix", "moat_tui.demo\n"]),
    ],
)
def test_a_target_does_its_steps_in_this_order(target, expected):
    plan = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    places = [plan.find(step) for step in expected]
    assert -1 not in places, plan
    assert places == sorted(places)


def test_ci_calls_exactly_make_test():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make --no-print-directory test"]
    assert lines[-1].startswith("make ")
    assert "set -euo pipefail" in lines


def test_the_top_level_holds_only_what_belongs_there():
    allowed = {
        "pyproject.toml", "README.md", "Makefile", "constraints.txt", ".python-version", ".gitignore",
        "engine", "moat_tui", "tests", "screenshots", ".ci",
    }  # fmt: skip
    top = {path.relative_to(ROOT).parts[0] for path in project_files()}
    assert top - allowed == set()
