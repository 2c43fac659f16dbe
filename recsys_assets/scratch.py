"""Files that appear whole or not at all, and the folders in which they are made.

What is being written stands in a folder `.recsys-tmp-…` of the lake, of the home, or beside a file that goes elsewhere.
One that a killed process has left is told by its lock, which the system drops with the process: in another container
too, where process numbers mean nothing.
"""

import errno
import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from recsys_assets.errors import RefusedError, SettingsError

_log = logging.getLogger(__name__)

TEMPORARY = ".recsys-tmp-"
_LOCK = ".lock"
_AT_ONCE = 16
_PRIVATE, _PRIVATE_FOLDER = 0o600, 0o700


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A new folder of ``root`` that only its owner may enter; it goes with the block, or by `clear`."""
    while True:
        make_folder(root)
        with suppress(FileNotFoundError):  # somebody cleared it before it was locked
            folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=root))
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                break
            os.close(lock)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear(root: Path) -> int:
    """Removes the scratch folders that killed processes have left in ``root``; how many. Living ones keep theirs."""
    try:
        with os.scandir(root) as entries:
            found = [entry.path for entry in entries if is_scratch(entry.name) and entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return sum(_cleared(Path(path)) for path in sorted(found))


def clear_below(root: Path) -> int:
    """As `clear`, of every folder below, too."""
    count = 0
    for path, folders, _ in os.walk(root):
        count += clear(Path(path))
        folders[:] = [name for name in folders if not is_scratch(name)]
    return count


def is_scratch(name: str) -> bool:
    """Whether a folder of this name is one of ours."""
    return name.startswith(TEMPORARY)


def _cleared(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
    except FileNotFoundError:  # its owner was done just now
        return False
    except OSError as error:
        return _stays(folder, error)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except (BlockingIOError, FileNotFoundError):  # it is being used, or its owner was done just now
        return False
    except OSError as error:
        return _stays(folder, error)
    finally:
        os.close(lock)
    return True


def _stays(folder: Path, error: OSError) -> bool:
    """One of root's, say, in another user's home: it must not hold up what comes after; `recsys doctor` names it."""
    _log.warning("%s cannot be removed: %s", folder, error.strerror)
    return False


def create(path: Path) -> Path:
    """An empty file that only its owner may read and that was not there before."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE))
    return path


@contextmanager
def replacing(path: Path, root: Path) -> Iterator[Path]:
    """A new private file of ``root``'s disk, which becomes ``path`` when the block ends without an error."""
    with scratch(root) as folder:
        made = create(folder / "made")
        yield made
        settle(made, path)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A scratch folder on the disk of a file that may lie anywhere, for `settle`; nothing of it stays behind.

    Raises:
        RefusedError: a link, a folder or a device is in the way.
        SettingsError: the folder cannot be made, or the block could not write or read a file.
    """
    try:
        refuse_odd(path)
        with suppress(PermissionError):  # of another user's process, in a folder of both
            clear(path.parent)
        with scratch(path.parent) as folder:
            yield folder
    except OSError as error:
        where = Path(str(error.filename))
        own = error.filename is None or TEMPORARY in str(where) or where in (path, *path.parents)
        other = "" if own else f" ({where})"
        raise SettingsError(f"{path} cannot be written: {error.strerror}{other}.") from error


def write_out(path: Path, content: str) -> None:
    """A private file anywhere, which replaces the one of before; raises as `beside`."""
    with beside(path) as folder:
        write_private(folder / "made", content)
        settle(folder / "made", path)


def refuse_odd(path: Path) -> None:
    """Raises `RefusedError` where something stands at ``path`` that a file of ours must not replace."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            what = "link" if path.is_symlink() else "folder" if path.is_dir() else "device"
            raise RefusedError(f"{path} is a {what}, which is not written over: remove it, or choose another name.")


def write_private(path: Path, content: str | bytes, root: Path | None = None) -> None:
    """Replaces a file by one that only its owner may read; ``root``: where it is made, default: the file's folder."""
    with replacing(path, root or path.parent) as made:
        made.write_bytes(content.encode() if isinstance(content, str) else content)


def settle(made: Path, path: Path) -> None:
    """Gives a finished file or folder its name, once it is on the disk; the name is on the disk then, too."""
    settle_all({path: made})


def settle_all(made: Mapping[Path, Path]) -> None:
    """Gives finished files or folders (values) their names (keys), once all of them are on the disk."""
    _sync(made.values())
    folders = {path.parent for path in made}
    changed = [above for folder in folders for above in _make(folder)]
    for path, finished in made.items():
        finished.replace(path)
    _sync({*folders, *changed})


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it where they are missing, for their owner alone."""
    _sync(_make(folder))


def _make(folder: Path) -> list[Path]:
    """As `make_folder`; the folders in which one was made, which are not yet on the disk."""
    if folder.is_dir():
        return []
    changed = _make(folder.parent)
    folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    return [*changed, folder.parent]


def _sync(paths: Collection[Path]) -> None:
    """Many at once: the disk brings what waits together out together."""
    if len(paths) == 1:
        _sync_one(*paths)
    elif paths:
        with ThreadPoolExecutor(min(_AT_ONCE, len(paths))) as pool:
            for done in [pool.submit(_sync_one, path) for path in paths]:
                done.result()


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do it for folders
            raise
    finally:
        os.close(handle)
