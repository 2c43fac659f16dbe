"""One tar file with a manifest: every member's size and SHA-256, so that what comes out is what went in.

The manifest is the last member: a file without one is not whole.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pydantic import BaseModel, TypeAdapter, ValidationError

from recsys_assets.errors import RefusedError, SourceError, StoreError
from recsys_assets.scratch import beside, create, settle

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_PAX = {"path", "size"}  # of a long or odd name, and of a large file: no other header of ours needs an extension
_NAME_BYTES, _PART_BYTES = 1024, 255


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

    ``scratch`` is a folder of the same disk for what is to be added.

    Raises:
        RefusedError: there is a file of that name.
    """

    scratch: Path

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise RefusedError(f"{path} is there already, and a backup is never written over: choose another name.")
        self._path = path
        self._members: dict[str, dict[str, Any]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.scratch = self._stack.enter_context(beside(self._path))
        self._made = create(self.scratch / "made")
        self._file = self._stack.enter_context(self._made.open("wb"))
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
            raise StoreError(f"{name} cannot be written to {self._path}: {error}") from error
        self._members[name] = {"size": size, "sha256": hashed.sha256()}

    def finish(self, told: Mapping[str, Any]) -> None:
        """The manifest: ``told``, and every member.

        Raises:
            RefusedError: a file has a name that no backup may hold.
        """
        if odd := odd_name(self._members):
            raise RefusedError(f"{odd!r} cannot be in a backup, since no restore would take it: rename or remove it.")
        self.add_text(MANIFEST, json.dumps({**told, "members": dict(self._members)}, indent=1) + "\n")

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with self._stack:
            if kind is None:
                self._tar.close()
                self._file.close()
                settle(self._made, self._path)


def odd_name(names: Collection[str]) -> str | None:
    """The first name that is no plain relative path, or that another one of the names stands in the way of.

    >>> odd_name(["lake/a/b"]), odd_name(["lake//etc/x"]), odd_name(["lake/a", "lake/A"])
    (None, 'lake//etc/x', 'lake/A')
    """
    seen = set[str]()
    for name in names:
        parts = name.split("/")
        same = unicodedata.normalize("NFC", name).casefold()
        if (
            same in seen
            or len(os.fsencode(name)) > _NAME_BYTES
            or any(part in {"", ".", ".."} or len(os.fsencode(part)) > _PART_BYTES for part in parts)
            or any(mark == "\\" or not mark.isprintable() for mark in name)
        ):
            return name
        seen.add(same)
    return next((name for name in names for folder in _above(name) if folder in seen), None)


def _above(name: str) -> Iterator[str]:
    folder = unicodedata.normalize("NFC", name).casefold()
    while folder := folder.rpartition("/")[0]:
        yield folder


class _Told(BaseModel):
    """What a manifest says of a member."""

    size: int
    sha256: str


_TOLD = TypeAdapter(dict[str, _Told])


class Reader:
    """An archive that is open, its manifest read and every member compared with it."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._tar = tar
        listed = tar.getmembers()
        for info in listed:
            # What ours are written as; anything else may be a link, a device or a name under another name.
            plain = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.pax_headers.keys() - _PAX
            if not plain or tar.pax_headers:
                raise SourceError(f"{path}: {info.name!r} is not a member of a backup.")
        if odd := odd_name([info.name for info in listed]):
            raise SourceError(f"{path}: {odd!r} is not a member of a backup.")
        self._infos = {info.name: info for info in listed}
        if MANIFEST not in self._infos:
            raise SourceError(f"{path} holds no {MANIFEST}: it is no backup, or one that is not whole.")
        self.manifest: dict[str, Any] = json.loads(self.text(MANIFEST))
        members = _TOLD.validate_python(self.manifest["members"])
        self.names = sorted(members)
        if set(self._infos) - {MANIFEST} != set(members):
            raise SourceError(f"{path}: its members are not those of its manifest. Use another backup.")
        for name, told in members.items():
            if self._infos[name].size != told.size or _sha256(self._open(name)) != told.sha256:
                raise SourceError(f"{path}: {name} is damaged (its SHA-256 is another). Use another backup.")

    def _open(self, name: str) -> IO[bytes]:
        found = self._tar.extractfile(self._infos[name])
        assert found is not None
        return found

    def text(self, name: str) -> str:
        """A small member."""
        return self._open(name).read().decode()

    def extract(self, name: str, root: Path, below: str = "") -> Path:
        """Writes one member below ``root``, with the time it had, under its name less the folder ``below``.

        Raises:
            SourceError: it would come to lie elsewhere.
        """
        to = root / name.removeprefix(below)
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not to.resolve().is_relative_to(root.resolve()):
            raise SourceError(f"{name!r} is not a member of a backup: it leads out of {root}.")
        with self._open(name) as source, create(to).open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        modified = self._infos[name].mtime
        os.utime(to, (modified, modified))
        return to


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """An archive, verified.

    Raises:
        SourceError: it cannot be read, is not whole or is damaged.
    """
    with ExitStack() as stack:
        try:
            archive = Reader(path, stack.enter_context(tarfile.open(path, "r:")))
        except (tarfile.TarError, EOFError) as error:
            raise SourceError(f"{path} is no backup, or one that is not whole: {error}.") from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValidationError) as error:
            why = type(error).__name__
            raise SourceError(f"{path}: its {MANIFEST} cannot be read ({why}). Use another backup.") from None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}. Name a file of `recsys backup`.") from None
        yield archive


def _sha256(file: IO[bytes]) -> str:
    with file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # tarfile's file has no readinto type
