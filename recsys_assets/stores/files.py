"""Where the files of a lake stand: a folder of this machine, or a bucket of a server that speaks S3.

One set of verbs for both; names are relative and use ``/``. A file appears whole or not at all.
"""

import fcntl
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

import polars as pl

from recsys_assets import scratch
from recsys_assets.columns import DTypes
from recsys_assets.errors import DamagedError, RecsysError, SettingsError, StoreError

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

SETTING = "RECSYS_LAKE_URL"
S3 = "s3://"
FILE = "_file"  # the column of `Files.columns` that names the file
_AT_ONCE = 16  # requests that wait for a distant server together
# What polars is told beside the AWS_ variables, which it reads itself. http is refused unless it is allowed, and the
# endpoint's own URL says which of both it is; eight retries would keep a person waiting for half a minute.
_POLARS_OPTIONS = {"aws_allow_http": "true", "max_retries": 2}
# Arrow writes NO_SUCH_BUCKET, the server itself NoSuchBucket.
_CODE = re.compile(r"AWS Error (?P<arrow>[A-Z_]+)|<Code>(?P<server>\w+)</Code>|status code: (?P<status>\d+)")
# How polars says that a Parquet file is none.
_DAMAGED = re.compile(r"(?i)^parquet: |File out of specification|ARROW:schema|zstd|Invalid thrift")
_NEVER = {
    "nosuchbucket": "there is no such bucket",
    "accessdenied": "the server denies access",
    "accessforbidden": "the server denies access",
    "401": "the server denies access",
    "403": "the server denies access",
    "invalidaccesskeyid": "the server does not know the access key",
    "signaturedoesnotmatch": "the secret does not fit the access key",
    "expiredtoken": "the session token has expired",
    "permanentredirect": "the bucket is in another region",
}


Put = Callable[[BinaryIO], object]  # writes a file's content


class Found(NamedTuple):
    """One file: its name, when it was written (nanoseconds since 1970) and its bytes."""

    name: str
    modified_ns: int
    size: int


class Files(Protocol):
    """What a lake needs of a place.

    Every method raises `SettingsError` where the place cannot be used as it is set, and `StoreError` where it does
    not answer.
    """

    def find(self, folder: str) -> list[Found]:
        """Every file below ``folder``, by name; none where there is no such folder."""
        ...

    def read(self, name: str) -> bytes:
        """Content of one file.

        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """One file, to be read piece by piece; raises as `read`."""
        ...

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Contents of many small files, as `read`."""
        ...

    def write(self, puts: Mapping[str, Put], ready: Callable[[], object] = lambda: None) -> None:
        """Replaces files by what each of ``puts`` writes; ``ready`` is called once all is written, before the first."""
        ...

    def scan(self, names: Sequence[str], columns: DTypes | None = None) -> pl.LazyFrame:
        """Rows of Parquet files, of at least one. What fails while rows are read is an OSError; see `trouble`.

        With ``columns``, these and no others, null where a file was written before there was one.
        """
        ...

    def columns(self, names: Sequence[str], columns: DTypes) -> pl.LazyFrame:
        """Some columns of Parquet files of any schemas (null where a file lacks one), and each row's ``FILE``."""
        ...

    def delete(self, name: str) -> None:
        """Removes one file, where there is one."""
        ...

    def delete_folder(self, folder: str) -> None:
        """Removes all files below ``folder``."""
        ...

    def alone(self, folder: str) -> AbstractContextManager[None]:
        """Within it no other writer of this machine is within that of ``folder``; in a bucket, anybody may be."""
        ...

    def clear(self) -> int:
        """Removes what writers that were killed have left; how many."""
        ...

    def local(self, folder: str) -> AbstractContextManager[Path]:
        """A folder of this machine that holds the files of ``folder``, for as long as the block; only to be read."""
        ...


def place(url: str | Path) -> Files:
    """The place of a path or an ``s3://`` URL. Nothing is opened yet."""
    return Bucket(url) if isinstance(url, str) and url.startswith(S3) else Folder(Path(url))


def trouble(error: OSError | pl.exceptions.PolarsError) -> RecsysError | None:
    """What an error says of the lake; None when it is not about it. Never quotes what a server or a file says."""
    text = str(error)
    if "AWS Error" not in text and "object-store error" not in text:
        if _DAMAGED.search(text) is None:
            return None
        return DamagedError("a file of the lake is damaged: `recsys doctor` names it, and how it is brought back.")
    found = _CODE.search(text)
    code = "" if found is None else next(filter(None, found.groups()))
    reason = _NEVER.get(code.replace("_", "").lower())
    if reason is not None:
        return SettingsError(
            f"{SETTING}: {reason} ({code}). Check the bucket's name and the AWS_ variables (access key, secret, "
            f"region, endpoint)."
        )
    return StoreError(f"{SETTING}: the server of the bucket does not answer ({code or type(error).__name__}).")


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise SettingsError(
                f"the lake {self._root} cannot be used: {error}. Check {SETTING} and rights."
            ) from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"the lake {self._root}: {error}") from error

    def find(self, folder: str) -> list[Found]:
        """Every file below ``folder``, by name."""
        with self._usable():
            return sorted(_walk(self._root / folder, folder))

    def read(self, name: str) -> bytes:
        """Content of one file."""
        with self._usable():
            return (self._root / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """One file, to be read."""
        with self._usable():
            return (self._root / name).open("rb")

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Contents of many files."""
        return [self.read(name) for name in names]

    def write(self, puts: Mapping[str, Put], ready: Callable[[], object] = lambda: None) -> None:
        """Written beside, brought onto the disk, then renamed."""
        with self._usable(), scratch.scratch(self._root) as folder:
            made = {self._root / name: scratch.create(folder / str(place)) for place, name in enumerate(puts)}
            for path, put in zip(made.values(), puts.values(), strict=True):
                with path.open("w+b") as file:
                    put(file)
            ready()
            scratch.settle_all(made)

    def scan(self, names: Sequence[str], columns: DTypes | None = None) -> pl.LazyFrame:
        """Rows of Parquet files."""
        return pl.scan_parquet([self._root / name for name in names], hive_partitioning=False, **_schema(columns))

    def columns(self, names: Sequence[str], columns: DTypes) -> pl.LazyFrame:
        """Some columns, and each row's file."""
        return _columns([f"{self._root}/{name}" for name in names], f"{self._root}/", columns)

    def delete(self, name: str) -> None:
        """Removes one file, where there is one."""
        with self._usable():
            (self._root / name).unlink(missing_ok=True)

    @contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """By a lock on the folder, which the system drops with the process."""
        with self._usable():
            scratch.make_folder(self._root / folder)
            lock = os.open(self._root / folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def clear(self) -> int:
        """Removes what writers that were killed have left."""
        with self._usable():
            return scratch.clear_below(self._root)

    def delete_folder(self, folder: str) -> None:
        """Removes a folder with all that is in it."""
        with self._usable():
            if (self._root / folder).exists():
                shutil.rmtree(self._root / folder)

    @contextmanager
    def local(self, folder: str) -> Iterator[Path]:
        """The folder itself."""
        yield self._root / folder


def _schema(columns: DTypes | None) -> dict[str, Any]:
    return {} if columns is None else {"schema": columns, "missing_columns": "insert", "extra_columns": "ignore"}


def _columns(paths: Sequence[str], root: str, columns: DTypes, **how: Any) -> pl.LazyFrame:
    # Files of other versions may have more columns, or fewer.
    other: dict[str, Any] = {"missing_columns": "insert", "extra_columns": "ignore"}
    found = pl.scan_parquet(
        list(paths), schema=columns, include_file_paths=FILE, hive_partitioning=False, **other, **how
    )
    return found.with_columns(pl.col(FILE).str.strip_prefix(root))


def _walk(path: Path, name: str) -> Iterator[Found]:
    try:
        entries = os.scandir(path)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(path / entry.name, f"{name}/{entry.name}")
            else:
                stat = entry.stat()
                yield Found(f"{name}/{entry.name}", stat.st_mtime_ns, stat.st_size)


class Bucket:
    """A bucket, or what lies below a prefix of it. Credentials, region and endpoint are the usual AWS_ variables.

    Amazon's clients of arrow and polars read those variables themselves, so that no secret passes through here.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._root = self._url.removeprefix(S3)
        self._opened: S3FileSystem | None = None

    @property
    def _fs(self) -> "S3FileSystem":
        """Opened on first use: a missing bucket would otherwise look like an empty lake."""
        if self._opened is None:
            from pyarrow import fs

            bucket = self._root.partition("/")[0]
            # A small file is one request instead of three.
            opened, _ = fs.FileSystem.from_uri(f"{S3}{bucket}?allow_delayed_open=true")
            if opened.get_file_info(bucket).type == fs.FileType.NotFound:
                raise SettingsError(f"{SETTING}: there is no bucket {bucket}. Make it, or name another one.")
            self._opened = opened
        return self._opened

    def find(self, folder: str) -> list[Found]:
        """Every file below ``folder``, by name; one request per thousand of them."""
        with _answering():
            from pyarrow import fs

            below = fs.FileSelector(f"{self._root}/{folder}", recursive=True, allow_not_found=True)
            cut = len(self._root) + 1
            return sorted(
                Found(entry.path[cut:], entry.mtime_ns, entry.size)
                for entry in self._fs.get_file_info(below)
                if entry.type == fs.FileType.File
            )

    def read(self, name: str) -> bytes:
        """Content of one file."""
        with _answering(), self._fs.open_input_stream(f"{self._root}/{name}") as stream:
            content: bytes = stream.read()
            return content

    def open(self, name: str) -> BinaryIO:
        """One file, as a whole."""
        return io.BytesIO(self.read(name))

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Contents of many files, some at once."""
        if not names:
            return []
        with _answering():
            _ = self._fs  # opened once, not by each thread
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.read, names))

    def write(self, puts: Mapping[str, Put], ready: Callable[[], object] = lambda: None) -> None:
        """One upload of each whole content: it is seen when it is complete, and not before."""
        contents = {name: io.BytesIO() for name in puts}
        for name, put in puts.items():
            put(contents[name])
        ready()
        with _answering():
            _ = self._fs  # opened once, not by each thread
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(self._upload, name, content) for name, content in contents.items()]:
                done.result()

    def _upload(self, name: str, content: io.BytesIO) -> None:
        with _answering(), self._fs.open_output_stream(f"{self._root}/{name}") as stream:
            stream.write(content.getbuffer())

    def scan(self, names: Sequence[str], columns: DTypes | None = None) -> pl.LazyFrame:
        """Rows of Parquet files; polars reads what a query needs of them, many at once."""
        with _answering():
            urls = [f"{self._url}/{name}" for name in names]
            return pl.scan_parquet(
                urls,
                hive_partitioning=False,
                storage_options=_POLARS_OPTIONS,
                credential_provider=None,
                **_schema(columns),
            )

    def columns(self, names: Sequence[str], columns: DTypes) -> pl.LazyFrame:
        """Some columns, and each row's file."""
        with _answering():
            urls = [f"{self._url}/{name}" for name in names]
            return _columns(urls, f"{self._url}/", columns, storage_options=_POLARS_OPTIONS, credential_provider=None)

    def delete(self, name: str) -> None:
        """Removes one file, where there is one."""
        with _answering():
            try:
                self._fs.delete_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return

    def alone(self, folder: str) -> AbstractContextManager[None]:  # noqa: ARG002  as the protocol has it
        """Nothing: a bucket has no locks."""
        return nullcontext()

    def clear(self) -> int:
        """Nothing: an upload that was cut off is no file."""
        return 0

    def delete_folder(self, folder: str) -> None:
        """Removes all files below ``folder``."""
        with _answering():
            try:
                self._fs.delete_dir(f"{self._root}/{folder}")
            except FileNotFoundError:
                return

    @contextmanager
    def local(self, folder: str) -> Iterator[Path]:
        """A copy, which goes with the block."""
        with tempfile.TemporaryDirectory(prefix="recsys-") as made:
            names = [found.name for found in self.find(folder)]
            for name, content in zip(names, self.read_all(names), strict=True):
                path = Path(made) / name.removeprefix(f"{folder}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield Path(made)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found = trouble(error)
        if found is None:
            raise
        raise found from None  # arrow's words may quote the access key
