"""One tar file with a manifest: every member's size and SHA-256, so that what comes out is what went in.

The manifest is the last member: a file without one is not whole.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Self

from recsys_assets.errors import RefusedError, SourceError, StoreError

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


class _Hashed:
    """A file that is read once, and what its bytes hash to."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data

    def sha256(self) -> str:
        return self._digest.hexdigest()


class Writer:
    """Writes an archive beside ``path``, private to its owner; on leaving without an error it takes its name.

    Raises:
        RefusedError: there is a file of that name.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise RefusedError(f"{path} is there already, and a backup is never written over: choose another name.")
        self._path, self._beside = path, path.with_name(f"{path.name}.partial")
        self._members: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        self._beside.unlink(missing_ok=True)  # of a backup that was killed
        handle = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def add(self, name: str, path: Path) -> None:
        """One file, as it is when it is opened.

        Raises:
            StoreError: it is gone, or shrinks while it is read.
        """
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                self._add(name, file, stat.st_size, int(stat.st_mtime))
        except FileNotFoundError:
            raise StoreError(f"{path} went away during the backup: run it again while no job runs.") from None

    def add_text(self, name: str, text: str) -> None:
        """One small file of ours."""
        content = text.encode()
        self._add(name, io.BytesIO(content), len(content), 0)

    def _add(self, name: str, file: IO[bytes], size: int, modified: int) -> None:
        info, hashed = tarfile.TarInfo(name), _Hashed(file)
        info.size, info.mtime, info.mode = size, modified, 0o600
        try:
            self._tar.addfile(info, hashed)
        except OSError as error:
            raise StoreError(f"{name} cannot be written to {self._beside}: {error}") from error
        self._members[name] = {"size": size, "sha256": hashed.sha256()}

    def finish(self, told: Mapping[str, Any]) -> None:
        """The manifest: ``told``, and every member."""
        self.add_text(MANIFEST, json.dumps({**told, "members": dict(self._members)}, indent=1) + "\n")

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            self._beside.rename(self._path)
        else:
            self._beside.unlink(missing_ok=True)


class Reader:
    """An archive that is open, its manifest read and every member compared with it."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._tar = tar
        infos = {info.name: info for info in tar.getmembers()}
        if MANIFEST not in infos:
            raise SourceError(f"{path} holds no {MANIFEST}: it is no backup, or one that is not whole.")
        self.manifest: dict[str, Any] = json.loads(self.text(MANIFEST))
        members: dict[str, dict[str, Any]] = self.manifest["members"]
        self.names = sorted(members)
        if set(infos) - {MANIFEST} != set(members):
            raise SourceError(f"{path}: its members are not those of its manifest. Use another backup.")
        for name, told in members.items():
            parts = PurePosixPath(name).parts
            if not infos[name].isreg() or name.startswith("/") or ".." in parts:
                raise SourceError(f"{path}: {name!r} is not a member of a backup.")
            if _sha256(self._open(name)) != told["sha256"]:
                raise SourceError(f"{path}: {name} is damaged (its SHA-256 is another). Use another backup.")

    def _open(self, name: str) -> IO[bytes]:
        found = self._tar.extractfile(name)
        assert found is not None
        return found

    def text(self, name: str) -> str:
        """A small member."""
        return self._open(name).read().decode()

    def extract(self, name: str, to: Path) -> None:
        """Writes one member, with the time it had."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with self._open(name) as source, to.open("wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
        modified = self._tar.getmember(name).mtime
        os.utime(to, (modified, modified))


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """An archive, verified.

    Raises:
        SourceError: it cannot be read, is not whole or is damaged.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            yield Reader(path, tar)
    except (tarfile.TarError, EOFError) as error:
        raise SourceError(f"{path} is no backup, or one that is not whole: {error}.") from None
    except (json.JSONDecodeError, KeyError) as error:
        raise SourceError(f"{path}: its {MANIFEST} cannot be read ({error}).") from None
    except FileNotFoundError as error:
        if error.filename != str(path):
            raise
        raise SourceError(f"{path} is not there.") from None


def _sha256(file: IO[bytes]) -> str:
    with file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # tarfile's file has no readinto type
