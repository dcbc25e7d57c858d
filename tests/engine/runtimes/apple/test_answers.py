"""Answers as Mac users have published them, of releases before and since 1.0."""

from __future__ import annotations

import pytest

from engine.errors import ContainerFailed, ImageUnavailable, RuntimeUnavailable
from engine.runtimes.apple.answers import (
    State,
    only,
    read_containers,
    read_image,
    read_networks,
)
from engine.runtimes.apple.errors import explain, is_missing
from engine.runtimes.spec import ImageFacts

# github.com/apple/container/issues/1693 (a release before 1.0), shortened
CONTAINER_09 = rb"""[{"status":"running","configuration":{"useInit":false,"labels":{"moat.run":"run_1"},
"publishedPorts":[],"ssh":false,"image":{"reference":"ghcr.io\/x:latest"},"platform":{"architecture":"arm64"},
"networks":[{"network":"default","options":{"hostname":"Hotline.cont.","mtu":1280}}],"mounts":[{"options":[],
"source":"\/Users\/me\/","destination":"\/data","type":{"virtiofs":{}}}],"capDrop":[],"initProcess":{"terminal":false,
"rlimits":[],"arguments":[],"executable":"\/app","supplementalGroups":[],"workingDirectory":"\/","environment":[],
"user":{"id":{"uid":0,"gid":0}}},"id":"Hotline","runtimeHandler":"container-runtime-linux"},
"networks":[{"ipv4Gateway":"192.168.64.1","hostname":"Hotline.cont.","ipv4Address":"192.168.64.3\/24",
"network":"default","macAddress":"f2:00:00:00:00:01"}],"startedDate":803000000.5}]"""
CONTAINER_05 = rb"""[{"status":"running","networks":[{"gateway":"192.168.64.1","hostname":"a.test.",
"network":"default","address":"192.168.64.3\/24"}],"configuration":{"id":"a","labels":{}}}]"""
# Sources of 1.0, ManagedContainer: `status` is an object
CONTAINER_10 = rb"""[{"id":"run_abc","configuration":{"id":"run_abc","labels":{"moat.run":"run_1"}},"status":{
"state":"running","networks":[{"ipv4Address":"192.168.64.2\/24","ipv4Gateway":"192.168.64.1","network":"default",
"hostname":"run_abc"}],"startedDate":"2026-06-26T10:00:00Z"}}]"""
STOPPED_10 = b'[{"id":"run_abc","configuration":{"id":"run_abc"},"status":{"state":"stopped"}}]'

# github.com/socktainer/socktainer/issues/43, of a release before 0.8
NETWORK_05 = b"""[{"id":"default","state":"running","config":{"id":"default","mode":"nat"},
"status":{"gateway":"192.168.64.1","address":"192.168.64.0/24"}}]"""
NETWORK_10 = b"""[{"id":"n","configuration":{"name":"n","mode":"hostOnly","labels":{"moat.home":"h"}},
"status":{"ipv4Subnet":"192.168.250.0/24","ipv4Gateway":"192.168.250.1","ipv6Subnet":"fd5b::/64"}}]"""
NO_GATEWAY = b'[{"id":"n","configuration":{},"status":{"ipv4Subnet":"192.168.250.0/24"}}]'

IMAGE = b"""[{"name":"node","index":{},"variants":[
{"platform":{"os":"linux","architecture":"amd64"},"config":{"config":{"Cmd":["amd"]}}},
{"platform":{"os":"linux","architecture":"arm64","variant":"v8"},"size":1,"config":{"architecture":"arm64",
"os":"linux","config":{"Entrypoint":["docker-entrypoint.sh"],"Cmd":["node"],"Env":[]}}}]}]"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONTAINER_05, State("a", "running", "192.168.64.3")),
        (CONTAINER_09, State("Hotline", "running", "192.168.64.3", {"moat.run": "run_1"})),
        (CONTAINER_10, State("run_abc", "running", "192.168.64.2", {"moat.run": "run_1"})),
        (STOPPED_10, State("run_abc", "stopped")),
    ],
)
def test_containers(text, expected) -> None:
    assert read_containers(text) == [expected]
    assert read_containers(b"[]") == read_containers(b"") == []


def test_networks() -> None:
    old, new, bare = (only(read_networks(text), name) for text, name in (
        (NETWORK_05, "default"), (NETWORK_10, "n"), (NO_GATEWAY, "n")))  # fmt: skip
    assert (old.gateway, old.subnet, old.routed) == ("192.168.64.1", "192.168.64.0/24", True)
    assert (new.gateway, new.subnet, new.labels) == ("192.168.250.1", "192.168.250.0/24", {"moat.home": "h"})
    assert (bare.gateway, bare.routed) == ("192.168.250.1", False)
    with pytest.raises(ContainerFailed, match="no IPv4 address"):
        only(read_networks(b'[{"id":"n","state":"created","config":{"id":"n"}}]'), "n")


def test_an_image_is_what_it_would_start_on_this_processor() -> None:
    assert read_image(IMAGE) == ImageFacts("", ("docker-entrypoint.sh",), ("node",))
    assert read_image(b"[]") == ImageFacts()


def test_a_form_of_the_future_is_named_and_no_traceback() -> None:
    for text in (b"Warning! {", b'{"containers":[]}', b"[1]"):
        with pytest.raises(RuntimeUnavailable, match="form that Moat does not know"):
            read_containers(text)


@pytest.mark.parametrize(
    ("code", "message", "kind", "expected"),
    [
        (
            1,
            'Error: interrupted: "internalError: "failed to list containers" (cause: "interrupted: "XPC '
            'connection error: Connection invalid"")\nEnsure container system service has been started with '
            '`container system start`."',
            RuntimeUnavailable,
            "Start it: container system start.",
        ),
        (
            1,
            "Warning! Running debug build. Performance may be degraded.\nError: internalError: "
            '"HTTP request to https://registry-1.docker.io/v2/library/big/manifests/latest failed with '
            'response: 401 Unauthorized. No credentials found for host registry-1.docker.io"',
            ImageUnavailable,
            "the image big is not here and could not be pulled. internalError: ",
        ),
        (
            1,
            'Error: internalError: "error querying keychain for x (cause: "queryError("query failure: '
            'unhandledError(status: -25308)")")"',
            ImageUnavailable,
            "container image pull big",
        ),
        (1, 'Error: exists: "container with id a already exists"', ContainerFailed, "named a exists already"),
        (1, 'Error: exists: "network b already exists"', ContainerFailed, "network named b exists already"),
        (64, "Error: Unknown option '--internal'", RuntimeUnavailable, "this release of Apple's"),
        (
            1,
            'Error: notFound: "default kernel not configured for architecture arm64"',
            ContainerFailed,
            "container system kernel set --recommended",
        ),
        (1, "Error: invalidArgument: \"path '/a' does not exist\"", ContainerFailed, "/a cannot be mounted"),
        (3, "", ContainerFailed, "could not do it. it ended with 3"),
    ],
)  # fmt: skip
def test_messages(code, message, kind, expected) -> None:
    error = explain("do it", code, message, image="big" if kind is ImageUnavailable else "")
    assert type(error) is kind
    assert expected in str(error)


def test_what_is_gone_is_known() -> None:
    assert is_missing('Error: notFound: "failed to delete one or more networks: ["x"]"')
    assert is_missing("Error: No such container: x")
    assert not is_missing('Error: internalError: "delete failed for one or more networks: ["x"]"')
