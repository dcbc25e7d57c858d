from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from engine.runtimes import PlacedFile
from engine.runtimes.docker.files import make_archive
from engine.runtimes.user import known_user, with_group, with_user

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/sh\n"
GROUP = b"root:x:0:\nnode:x:1000:"


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


def test_a_new_id_gets_a_line_and_keeps_all_others() -> None:
    assert with_user(PASSWD, 1234, 1235) == PASSWD + b"moat:x:1234:1235::/home/moat:/bin/sh\n"
    assert with_group(GROUP, 1235) == GROUP + b"\nmoat:x:1235:\n"
    assert with_user(b"", 5, 5).startswith(b"moat:x:5:5:")


def test_an_id_the_image_knows_keeps_its_name_and_home() -> None:
    assert known_user(PASSWD, 1000)
    assert with_user(PASSWD, 1000, 1000) == PASSWD
    assert with_group(GROUP, 1000) == GROUP
    assert not known_user(PASSWD, 100)


@given(st.binary(max_size=200), st.integers(0, 2**31), st.integers(0, 2**31))
def test_any_passwd_keeps_its_bytes_and_knows_the_user_afterwards(table, uid, gid) -> None:
    after = with_user(table, uid, gid)
    assert after.startswith(table)
    assert known_user(after, uid)


def test_the_archive_owns_its_own_directories_and_names_no_other() -> None:
    files = [
        PlacedFile("/moat/ca/ca.crt", b"certificate"),
        PlacedFile("/etc/ssl/certs/ca-certificates.crt", link="/moat/ca/ca.crt"),
        PlacedFile("/moat/bin/x", b"#!", mode=0o755),
    ]
    found = members(make_archive(files, (1234, 1235)))
    assert list(found) == [
        "moat", "moat/bin", "moat/ca", "home/moat",
        "moat/ca/ca.crt", "etc/ssl/certs/ca-certificates.crt", "moat/bin/x",
    ]  # fmt: skip
    assert (found["home/moat"].uid, found["home/moat"].gid, found["home/moat"].mode) == (1234, 1235, 0o700)
    assert found["moat/ca"].isdir()
    assert found["moat/ca"].mode == 0o755
    assert found["etc/ssl/certs/ca-certificates.crt"].linkname == "/moat/ca/ca.crt"
    assert found["moat/bin/x"].mode == 0o755
    assert found["moat/ca/ca.crt"].uid == 0
