"""config.yaml: what it may say, what is said about what it may not, and that nothing in it gets lost."""

from __future__ import annotations

import os
import stat

import pytest

from engine.config.host import HostConfig, HostNetwork, allow_host, load_host_config, save_theme
from engine.errors import ConfigError, HomeError
from engine.home import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def written(home: Home, text: str | bytes) -> Home:
    home.write(home.config_file, text.encode() if isinstance(text, str) else text)
    return home


@pytest.mark.parametrize("text", ["", "# nothing\n", "keymap:\n", "{}"])
def test_nothing_said_is_the_default(home, text):
    assert load_host_config(home) == HostConfig()
    assert load_host_config(written(home, text)) == HostConfig()


def test_all_that_can_be_said(home):
    written(home, "theme: ansi-dark\nread_only: yes\nkeymap:\n  run.stop: ctrl+x , f9\n  pane.runs: 9\n")
    keymap = {"run.stop": "ctrl+x,f9", "pane.runs": "9"}
    assert load_host_config(home) == HostConfig("ansi-dark", True, keymap)


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("theme: moat-dark\nkeymaps: {}\n", 2, "keymaps", "Did you mean 'keymap'?"),
        ("theme: 7\n", 1, "theme", "found the number 7"),
        ("theme: 'a b'\n", 1, "theme", "expected the name of a theme"),
        ("read_only: maybe\n", 1, "read_only", "expected true or false, found 'maybe'"),
        ("keymap: [a]\n", 1, "keymap", "expected a mapping of ids to keys"),
        ("keymap:\n  Stop!: x\n", 2, "keymap.Stop!", "expected an id such as run.stop"),
        ("keymap:\n  run.stop: [x]\n", 2, "keymap.run.stop", "expected keys such as"),
        ("keymap:\n  run.stop: 'x y'\n", 2, "keymap.run.stop", "expected keys such as"),
        ("keymap:\n  run.stop: yes\n", 2, "keymap.run.stop", "expected keys such as"),
        ("network:\n  allow: [a.test]\n", 2, "network.allow", "Did you mean 'allow_private'?"),
        (
            "network:\n  allow_private: [db]\n",
            2,
            "network.allow_private[0]",
            "expected HOST:PORT, found 'db'",
        ),
        ("network:\n  passthrough: ['1.2.3.4']\n", 2, "network.passthrough[0]", "expected a host name"),
        ("network:\n  upstream_proxy: ftp://u:hidden@p\n", 2, "network.upstream_proxy", "found text"),
        ("- theme\n", 1, "", "expected a mapping of keys to values"),
        ("theme: a\ntheme: b\n", 2, "theme", "expected each key once"),
        ("a: [\n", 2, "", "not valid YAML"),
        (b"\xff\xfe\x00", 1, "", "expected UTF-8"),
    ],
)
def test_what_is_wrong_names_file_line_and_key(home, text, line, key, says):
    with pytest.raises(ConfigError) as caught:
        load_host_config(written(home, text))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert f"{home.config_file}:{line}: " in str(caught.value)
    assert says in str(caught.value)


def test_what_the_network_is_survives_a_change_of_theme(home):
    written(
        home,
        """
network:
  allow_private: [db.internal:8443, '[fd00::1]:80']
  passthrough: ['*.Pinned.test']
  upstream_proxy: http://me:hidden@proxy.corp:3128
  upstream_ca: ~/corp.pem
""",
    )
    network = HostNetwork(
        allow_private=("db.internal:8443", "[fd00::1]:80"), passthrough=("*.pinned.test",),
        upstream_proxy="http://me:hidden@proxy.corp:3128", upstream_ca="~/corp.pem",
    )  # fmt: skip
    assert load_host_config(home).network == network
    save_theme(home, "ansi-dark")
    assert load_host_config(home) == HostConfig("ansi-dark", network=network)
    assert "hidden" not in repr(network)


def test_a_link_is_not_followed(home, tmp_path):
    (tmp_path / "elsewhere").write_text("read_only: true\n")
    home.ensure_dir(home.root)
    home.config_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError):
        load_host_config(home)


def test_the_theme_is_remembered_beside_the_rest(home):
    save_theme(home, "moat-light")
    assert load_host_config(home) == HostConfig("moat-light")
    assert stat.S_IMODE(os.stat(home.config_file).st_mode) == 0o600
    written(home, "read_only: true\nkeymap: {run.stop: 'n,1', run.kill: 'on'}\n")
    save_theme(home, "ansi-dark")
    assert load_host_config(home) == HostConfig("ansi-dark", True, {"run.stop": "n,1", "run.kill": "on"})
    assert [path.name for path in home.root.iterdir()] == ["config.yaml"]


NETWORK = """\
# my settings
theme: moat-dark  # at night
network:
    approval_timeout: 90
    rules:
    # never
    - evil.test: [deny * /**]
    - 'api.*.test:8443'
"""


def test_the_persons_own_rules(home):
    found = load_host_config(written(home, NETWORK)).network
    assert found.approval_timeout == 90
    assert list(map(str, found.rules)) == ["evil.test: deny * /**", "api.*.test:8443"]


def test_what_is_allowed_always_comes_last_and_loses_no_comment(home):
    written(home, NETWORK)
    allow_host(home, "new.test:443")
    allow_host(home, "new.test:443")
    save_theme(home, "moat-light")
    text = home.read(home.config_file).decode()
    assert [str(entry) for entry in load_host_config(home).network.rules][1:] == [
        "api.*.test:8443",
        "new.test:443",
    ]
    assert load_host_config(home).theme == "moat-light"
    for kept in ("# my settings", "# at night", "# never", "approval_timeout: 90", "'api.*.test:8443'"):
        assert kept in text


@pytest.mark.parametrize(
    "text", ["", "# mine\n", "theme: moat-dark\n", "network:\n", "network: {rules: []}\n"]
)
def test_the_first_host_that_is_allowed_always(home, text):
    allow_host(written(home, text), "new.test:443")
    assert list(map(str, load_host_config(home).network.rules)) == ["new.test:443"]
    assert ("# mine" in text) == (b"# mine" in home.read(home.config_file))


def test_a_theme_that_is_there_already_is_not_written_again(home):
    written(home, "# mine\ntheme: moat-dark\n")
    save_theme(home, "moat-dark")
    assert b"# mine" in home.read(home.config_file)


def test_a_broken_file_is_not_overwritten(home):
    written(home, "theme: [\n")
    with pytest.raises(ConfigError):
        save_theme(home, "moat-light")
    assert home.read(home.config_file) == b"theme: [\n"
