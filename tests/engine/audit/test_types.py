from __future__ import annotations

import pytest

from engine import audit
from engine.audit.types import ENTRY_TYPES, checked
from engine.errors import AuditError

BUILT = [
    (audit.console("x"), {"line": "x"}),
    (audit.console(""), {"line": ""}),
    (
        audit.network("GET", "https://h/", 200, 12, credential_used="github"),
        {
            "method": "GET",
            "url": "https://h/",
            "status_code": 200,
            "duration_ms": 12,
            "credential_used": "github",
        },
    ),
    (
        audit.network("GET", "https://h/", 0, 0, error="refused"),
        {"method": "GET", "url": "https://h/", "status_code": 0, "duration_ms": 0, "error": "refused"},
    ),
    (audit.credential("github", "intent", "h"), {"name": "github", "action": "intent", "host": "h"}),
    (audit.secret("KEY", "op"), {"name": "KEY", "backend": "op"}),
    (audit.ssh("list"), {"action": "list"}),
    (
        audit.ssh("sign_denied", host="h", error="not granted"),
        {"action": "sign_denied", "host": "h", "error": "not granted"},
    ),
    (audit.container("created", privileged=True), {"action": "created", "privileged": True}),
    (audit.container("created", privileged=False), {"action": "created"}),
    (
        audit.exec(("a", "b"), has_stdin=False, exit_code=0),
        {"command": ["a", "b"], "has_stdin": False, "exit_code": 0},
    ),
    (
        audit.policy("network", "CONNECT h:443", "denied", rule="strict"),
        {"scope": "network", "operation": "CONNECT h:443", "decision": "denied", "rule": "strict"},
    ),
]


@pytest.mark.parametrize(("built", "data"), BUILT)
def test_builders_leave_out_only_what_is_optional_and_empty(built: tuple, data: dict):
    assert built[1] == data
    assert checked(*built) == data


def test_every_type_has_a_builder():
    assert {built[0] for built, _ in BUILT} == set(ENTRY_TYPES)


def test_the_table_is_the_formats():
    declared = {name: [f.name + "?" * f.optional for f in fields] for name, fields in ENTRY_TYPES.items()}
    assert declared == {
        "console": ["line"],
        "network": ["method", "url", "status_code", "duration_ms", "credential_used?", "error?"],
        "credential": ["name", "action", "host"],
        "secret": ["name", "backend"],
        "ssh": ["action", "host?", "fingerprint?", "error?"],
        "container": [
            "action",
            "privileged?",
            "reason?",
            "buildkit_enabled?",
            "buildkit_container_id?",
            "buildkit_network_id?",
        ],
        "exec": ["command", "has_stdin", "exit_code"],
        "policy": ["scope", "operation", "decision", "rule?", "message?"],
    }


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (("consol", {"line": "x"}), "consol"),
        (("console", {}), "line"),
        (("console", {"line": "x", "lines": "y"}), "lines"),
        (("console", {"line": 5}), "line"),
        (("network", {"method": "GET", "url": "u", "status_code": True, "duration_ms": 1}), "status_code"),
        (("secret", {"name": "N", "backend": "vault"}), "backend"),
        (("exec", {"command": "ls", "has_stdin": False, "exit_code": 0}), "command"),
    ],
)
def test_a_slip_never_reaches_a_log(entry: tuple, named: str):
    with pytest.raises(AuditError, match=named):
        checked(*entry)


def test_empty_optional_fields_are_dropped():
    assert checked("ssh", {"action": "list", "host": ""}) == {"action": "list"}
