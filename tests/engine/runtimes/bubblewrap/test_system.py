"""What is shown of a system, and how room is made in it for what Moat puts there."""

from __future__ import annotations

import os

import pytest

from engine.runtimes.bubblewrap.system import System, hidden_places


@pytest.fixture
def tree(tmp_path):
    for path in (
        "usr/bin/sh",
        "usr/lib/libc.so",
        "etc/ssl/certs/one.pem",
        "etc/passwd",
        "root/secret",
        "srv/data",
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "etc/ssl/certs/link.pem").symlink_to("/usr/share/one.crt")
    (tmp_path / "etc/ssl/cert.pem").symlink_to("certs/one.pem")
    return System(str(tmp_path))


def pairs(words):
    """Target to option, of options with a source and a target."""
    return {words[i + 2]: words[i] for i in range(len(words)) if words[i] in ("--ro-bind", "--symlink")}


def test_a_tree_is_shown_whole_but_for_the_places_that_are_the_sandboxes_own(tree):
    assert pairs(tree.words(())) == {
        "/bin": "--symlink", "/etc": "--ro-bind", "/srv": "--ro-bind", "/usr": "--ro-bind",
    }  # fmt: skip


def test_around_a_hole_everything_else_is_shown_entry_by_entry(tree):
    words = tree.words({"/etc/ssl/certs/link.pem", "/etc/new/file"})
    shown = pairs(words)
    assert "/etc/ssl/certs/link.pem" not in shown
    assert shown["/etc/ssl/certs/one.pem"] == "--ro-bind"
    assert shown["/etc/passwd"] == "--ro-bind"
    assert shown["/etc/ssl/cert.pem"] == "--symlink"
    assert "/etc" not in shown
    made = [words[place + 1] for place, word in enumerate(words) if word == "--dir"]
    assert made == ["/etc", "/etc/ssl", "/etc/ssl/certs"]


@pytest.mark.parametrize(
    ("path", "directory", "hole"),
    [
        ("/etc/passwd", False, False),  # a file over a file
        ("/etc/passwd", True, True),
        ("/etc/passwd", None, True),  # a link takes its place
        ("/usr/lib", True, False),
        ("/usr/local", True, True),  # is not there
        ("/etc/ssl/cert.pem", False, True),  # nothing is mounted on a link: it would land where that leads
    ],
)
def test_what_needs_a_hole(tree, path, directory, hole):
    assert tree.is_hole(path, directory=directory) is hole


def test_links_lead_where_they_lead_inside(tree, tmp_path):
    assert tree.resolved("/bin/new") == "/usr/bin/new"
    (tmp_path / "absolute").symlink_to("/usr/lib")
    assert tree.resolved("/absolute/x") == "/usr/lib/x"
    (tmp_path / "out").symlink_to("../../../../etc")
    assert tree.resolved("/out/x") == "/etc/x"
    (tmp_path / "loop").symlink_to("loop")
    assert tree.resolved("/loop/x") == "/loop/x"


def test_of_this_machine_no_homes_and_no_services_data_are_shown():
    shown = list(System().shown())
    assert "/usr" in shown
    for place in ("/home", "/root", "/run", "/var", "/srv", "/opt", "/mnt", "/proc", "/sys", "/dev", "/tmp"):
        assert not any(each == place or each.startswith(place + "/") for each in shown)
    for place in (
        "/etc/shadow",
        "/etc/ssh/ssh_host_rsa_key",
        "/etc/ssl/private",
        "/etc/passwd",
        "/etc/hosts",
        "/etc/sudoers",
    ):
        assert not any(place == each or place.startswith(each + "/") for each in shown)


def test_moats_home_is_hidden_also_where_programs_are(tmp_path, monkeypatch):
    (tmp_path / "usr" / "moat-home").mkdir(parents=True)
    (tmp_path / "usr" / "engine.sock").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(System, "shown", lambda self: iter([str(tmp_path / "usr")]))
    places = [str(tmp_path / name) for name in ("usr/moat-home", "usr/engine.sock", "usr/none", "elsewhere")]
    assert list(hidden_places(System(), places)) == [(places[1], False), (places[0], True)]
    assert list(hidden_places(System("/tree"), places)) == []
    assert os.path.isdir(places[0])
