"""`~/.moat` (or `MOAT_HOME`): where everything lives, and the only way files there are made.

Directories are 0700 and files 0600 from the moment they exist, whatever the umask, because another
local user needs only one readable instant. A symlink anywhere at or below the root is refused: a path
that someone else redirected must not receive a credential or be believed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.errors import HomeError

DIR_MODE = 0o700
FILE_MODE = 0o600


class Home:
    """The tree below one root, with a name for every place in it. Making a Home touches no disk."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))

    @classmethod
    def default(cls) -> Home:
        """`$MOAT_HOME`, else `~/.moat`."""
        named = os.environ.get("MOAT_HOME")
        try:
            return cls(Path(named) if named else Path.home() / ".moat")
        except RuntimeError as error:  # no HOME, and no entry in the user database
            raise HomeError(
                "there is no home directory to keep Moat's files in",
                remedy="Set MOAT_HOME to a directory of your own.",
            ) from error

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def key_file(self) -> Path:
        return self.root / "encryption.key"

    @property
    def ca(self) -> Path:
        return self.root / "proxy" / "ca"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def heads(self) -> Path:
        return self.root / "heads"

    @property
    def approvals(self) -> Path:
        return self.root / "approvals"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def providers(self) -> Path:
        return self.root / "providers"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def worktrees(self) -> Path:
        return self.root / "worktrees"

    @property
    def config_file(self) -> Path:
        return self.root / "config.yaml"

    def run(self, run_id: str) -> Path:
        """The directory of one run; the id is checked so that it cannot climb out of `runs/`."""
        if not run_id.replace("_", "").isalnum() or not run_id.isascii():
            raise HomeError(f"not a run id: {run_id!r}")
        return self.runs / run_id

    def check(self, path: Path) -> Path:
        """`path` itself, after making sure that it lies below the root and crosses no symlink."""
        path = Path(os.path.abspath(path))
        if path != self.root and self.root not in path.parents:
            raise HomeError(f"{path} is outside {self.root}")
        for part in self._parts(path):
            with _explained(part), contextlib.suppress(FileNotFoundError):
                if stat.S_ISLNK(os.lstat(part).st_mode):
                    raise HomeError(
                        f"{part} is a symbolic link",
                        remedy="Moat keeps credentials and logs only in real directories: "
                        "move the target here, or point MOAT_HOME at it.",
                    )
        return path

    def ensure_dir(self, path: Path) -> Path:
        """Make `path` and every directory between the root and it, each 0700 at birth.

        Existing ones that are too open are narrowed. Raises HomeError for a symlink, a file in the way,
        or a directory that belongs to somebody else.
        """
        path = self.check(path)
        try:
            with _explained(path):
                # Missing ancestors are 0700 too: whoever may write one could put another root in its place.
                missing = [part for part in self.root.parents if not part.exists()]
                for part in (*reversed(missing), *self._parts(path)):
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, DIR_MODE)
                    self._narrow(part)
        except FileNotFoundError as error:  # a place where nothing can be made, such as /proc
            raise HomeError(f"{path} cannot be made", remedy="Point MOAT_HOME somewhere else.") from error
        return path

    def open_private(self, path: Path, flags: int) -> int:
        """A descriptor for the regular file `path` opened with `flags`; one made here is 0600 at birth.

        O_NOFOLLOW and O_CLOEXEC are added. With O_CREAT, a file that exists and is too open is narrowed.
        Raises FileNotFoundError when there is none and O_CREAT is not among the flags, HomeError otherwise.
        """
        path = self.check(path)
        if flags & os.O_CREAT:
            self.ensure_dir(path.parent)
        with _explained(path):
            # O_NONBLOCK: a pipe under this name must be refused, not waited for. Files do not care.
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise HomeError(f"{path} is not a file", remedy="Move it away and try again.")
                if flags & os.O_CREAT:
                    os.fchmod(fd, FILE_MODE)  # a umask of 0777 would have left nothing
            except BaseException:
                os.close(fd)
                raise
            return fd

    def read(self, path: Path) -> bytes:
        """The whole file; raises FileNotFoundError when there is none, HomeError otherwise."""
        fd = self.open_private(path, os.O_RDONLY)
        with _explained(path), os.fdopen(fd, "rb") as file:
            return file.read()

    def write(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Replace `path` whole: afterwards it holds the old bytes or the new ones, never a mixture.

        durable=False does not wait for the disk: for what is worth nothing after a power cut.
        """
        self.ensure_dir(path.parent)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        fd = self.open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with _explained(path):
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                self.check(path)
                os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            _sync_directory(path.parent)

    def remove(self, path: Path) -> bool:
        """Delete the file `path`, durably; False when there was none. A directory raises HomeError."""
        path = self.check(path)
        try:
            with _explained(path):
                os.unlink(path)
        except FileNotFoundError:
            return False
        _sync_directory(path.parent)
        return True

    def _parts(self, path: Path) -> Iterator[Path]:
        """The root, then each component down to `path`."""
        yield self.root
        part = self.root
        for name in path.relative_to(self.root).parts:
            part = part / name
            yield part

    def _narrow(self, path: Path) -> None:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise HomeError(f"{path} is not a directory", remedy="Move it away and try again.")
        if found.st_uid != os.geteuid():
            raise HomeError(
                f"{path} belongs to another user (uid {found.st_uid})",
                remedy="Run Moat as that user, or set MOAT_HOME to a directory of your own.",
            )
        if stat.S_IMODE(found.st_mode) & 0o777 != DIR_MODE:
            os.chmod(path, DIR_MODE)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors a person can act on."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HomeError(
                f"the disk is full: {path} could not be written",
                remedy=f"Free some space on the disk that holds {path.parent}; nothing was half-written.",
            ) from error
        if error.errno == errno.ELOOP:
            raise HomeError(
                f"{path} is a symbolic link", remedy="Moat does not follow links here; remove it."
            ) from error
        raise HomeError(f"{path}: {error.strerror}", remedy="Check its owner and permissions.") from error


def _sync_directory(path: Path) -> None:
    """Make a rename durable; file systems that cannot sync a directory are left as they are."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
