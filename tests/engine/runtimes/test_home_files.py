from __future__ import annotations

import io
import tarfile

from engine.runtimes import Bind, ContainerSpec, Network, PlacedFile
from engine.runtimes.docker.files import make_archive
from engine.runtimes.home_files import OwnFiles, own_files
from engine.runtimes.user import home_of

FILES = (PlacedFile(".env", b"A=1", mode=0o600), PlacedFile(".aws/credentials", b"[x]", mode=0o600))
PASSWD = b"root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/sh\nodd\n"


async def placed(home: str, *, there: tuple[str, ...] = (), made: bool = False, **spec: object) -> OwnFiles:
    async def exists(path: str) -> bool:
        assert not made
        return path in there

    fields = {"run_id": "r", "home_label": "h", "name": "n", "image": "i", "user": "1000:1001"} | spec
    network = Network("n", "n", "10.0.0.1", "10.0.0.0/24", False)
    wanted = ContainerSpec(network=network, home_files=FILES, **fields)  # type: ignore[arg-type]
    return await own_files(wanted, home, made=made, exists=exists)


def paths(found: OwnFiles) -> list[str]:
    return [file.path for file in found.files]


def test_the_home_directory_of_a_user() -> None:
    for user in ("1000:1000", "node", "node:0", "1000"):
        assert home_of(PASSWD, user) == "/home/node"
    assert home_of(PASSWD, "") == home_of(PASSWD, "0:0") == "/root"
    assert home_of(b"", "0:0") == home_of(PASSWD, "7:7") == ""


async def test_files_and_their_directories_belong_to_the_agent() -> None:
    found = await placed("/home/moat", made=True)
    assert paths(found) == ["/home/moat/.env", "/home/moat/.aws", "/home/moat/.aws/credentials"]
    assert found.left_out == ()
    data = make_archive([PlacedFile("/moat/x", b"")], (1000, 1001), found)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        entries = {entry.name: entry for entry in archive}
    for name, mode in (("home/moat/.env", 0o600), ("home/moat/.aws", 0o700)):
        entry = entries[name]
        assert (entry.uid, entry.gid, entry.mode) == (1000, 1001, mode)
        assert entry.mtime > 1_700_000_000  # as a person's files, not of 1970
    assert entries["home/moat/.aws"].isdir()
    assert entries["moat/x"].uid == 0


async def test_what_the_image_has_stays_as_it_is() -> None:
    found = await placed("/home/node", there=("/home/node/.aws",))
    assert paths(found) == ["/home/node/.env"]
    assert found.left_out == (".aws/credentials",)


async def test_nothing_is_written_into_a_mount() -> None:
    for target, left_out in (
        ("/root", (".env", ".aws/credentials")),
        ("/root/.aws", (".aws/credentials",)),
        ("/root/.aws/sso", (".aws/credentials",)),
        ("/root/.env", (".env",)),
        ("/", (".env", ".aws/credentials")),
        ("/rooted", ()),
    ):
        found = await placed("/root", binds=(Bind("/somewhere", target),))
        assert found.left_out == left_out, target
    found = await placed("/home/moat", made=True, binds=(Bind("/x", "/w"),), env={"HOME": "/w"})
    assert found.files == ()
