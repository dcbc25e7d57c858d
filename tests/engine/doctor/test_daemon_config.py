"""daemon.json is somebody else's file: what is in it stays, and what cannot be understood is not touched."""

from __future__ import annotations

import json

import pytest

from engine.doctor.daemon_config import read_config, with_host_network, with_runtime, write_config
from engine.errors import ConfigError

THEIRS = {"log-level": "warn", "runtimes": {"kata": {"path": "/opt/kata"}}, "dns": ["10.0.0.1"]}


def test_gvisor_is_added_next_to_what_is_there():
    merged = with_runtime(THEIRS, "/usr/bin/runsc")
    assert merged == {
        **THEIRS,
        "runtimes": {"kata": {"path": "/opt/kata"}, "runsc": {"path": "/usr/bin/runsc"}},
    }
    assert list(merged) == list(THEIRS)


def test_the_merge_changes_nothing_it_was_given():
    before = json.dumps(THEIRS)
    with_host_network(with_runtime(THEIRS, "/usr/bin/runsc"))
    assert json.dumps(THEIRS) == before


@pytest.mark.parametrize(
    "entry", [{"path": "/opt/runsc", "runtimeArgs": ["--debug"]}, {"runtimeType": "io.containerd.runsc.v1"}]
)
def test_an_entry_that_exists_is_kept(entry):
    config = {"runtimes": {"runsc": entry}}
    assert with_runtime(config, "/usr/bin/runsc") == config


def test_a_path_known_to_be_broken_is_replaced_and_its_arguments_kept():
    config = {"runtimes": {"runsc": {"path": "/gone/runsc", "runtimeArgs": ["--debug"]}}}
    fixed = with_runtime(config, "/usr/bin/runsc", replace=True)
    assert fixed["runtimes"]["runsc"] == {"path": "/usr/bin/runsc", "runtimeArgs": ["--debug"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, ["--network=host"]),
        (["--debug"], ["--debug", "--network=host"]),
        (["--network=sandbox", "--debug"], ["--debug", "--network=host"]),
        (["-network=none"], ["--network=host"]),
        (["--network=host"], ["--network=host"]),
    ],
)
def test_host_network_is_the_one_network_argument(arguments, expected):
    entry = {"path": "/usr/bin/runsc"} | ({"runtimeArgs": arguments} if arguments else {})
    changed = with_host_network({"runtimes": {"runsc": entry}})
    assert changed["runtimes"]["runsc"] == {"path": "/usr/bin/runsc", "runtimeArgs": expected}


def test_no_file_and_an_empty_file_are_an_empty_configuration(machine):
    assert read_config(machine.daemon_json) == {}
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.write_text("  \n")
    assert read_config(machine.daemon_json) == {}


@pytest.mark.parametrize("text", ['{"a": 1,}', "[]", '{"runtimes": []}', "# comment\n{}", '"text"'])
def test_what_is_no_json_object_is_refused_and_named(machine, text):
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(machine.daemon_json)
    assert str(machine.daemon_json) in caught.value.what
    assert machine.daemon_json.read_text() == text


def test_the_error_names_the_line(machine):
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.write_text('{\n  "a": 1\n  "b": 2\n}')
    with pytest.raises(ConfigError) as caught:
        read_config(machine.daemon_json)
    assert caught.value.line == 3


async def test_writing_keeps_the_mode_and_follows_a_link(machine, tmp_path):
    real = tmp_path / "real.json"
    real.write_text("{}")
    real.chmod(0o600)
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.symlink_to(real)
    await write_config(machine, {"a": 1})
    assert json.loads(real.read_text()) == {"a": 1}
    assert real.stat().st_mode & 0o777 == 0o600
    assert machine.daemon_json.is_symlink()
    assert sorted(p.name for p in tmp_path.glob("*.moat")) == []


async def test_writing_makes_the_directory(machine):
    await write_config(machine, with_runtime({}, "/usr/bin/runsc"))
    assert read_config(machine.daemon_json) == {"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}
    assert machine.daemon_json.stat().st_mode & 0o777 == 0o644
