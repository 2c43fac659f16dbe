"""What the lake's files were when they were written: bytes and SHA-256 of each part, in a tree of their own.

``manifests/<table>/<day>/<part>.json``, so that a day that somebody has deleted is still known. Nothing is known of a
part without one: it is of an older version, or its writer was killed just then. While a part is replaced, both forms of
it are known, so that it is never taken for damaged; afterwards the new one alone: whoever brings the old file back
brings people back who were erased from it.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from typing import BinaryIO

from recsys_assets.errors import DamagedError
from recsys_assets.stores.files import Files, Found

MANIFESTS = "manifests"
_KEPT = 3  # forms of a part: what is there, and what those write who replace it now
_TRIES = 10  # while others replace the files that are looked at
_AT_ONCE = 16  # small reads together
_HASHED = 2  # files that are hashed together


@dataclass(frozen=True)
class Form:
    """One content of one part."""

    bytes: int
    sha256: str


def form_of(file: BinaryIO) -> Form:
    """The form of a file that is open."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto
    return Form(file.seek(0, 2), digest)


class Manifests:
    """Of one lake. ``remedy`` says, of a part's name, how it is brought back."""

    def __init__(self, files: Files, remedy: Callable[[str], str]) -> None:
        self._files, self._remedy = files, remedy
        self._known: dict[Found, tuple[Form, ...]] = {}
        self._sound: set[Found] = set()

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Around what replaces or removes a part: of two at once, each would write down what the other has not seen."""
        return self._files.alone(f"{MANIFESTS}/{name.partition('/')[0]}")

    def announce(self, forms: Mapping[str, Form]) -> None:
        """Before parts (by name) are replaced: those that have a manifest may have both forms for a while."""
        self._put({name: _with(known, forms[name]) for name, known in self._forms(forms) if known})

    def confirm(self, forms: Mapping[str, Form]) -> None:
        """After parts were written: what they were before is no longer right.

        In a bucket, which has no locks, others may have announced theirs since: those stay.
        """
        found = {name: (known, forms[name]) for name, known in self._forms(forms)}
        left = {name: known[known.index(form) :] if form in known else _with(known, form)
                for name, (known, form) in found.items()}  # fmt: skip
        self._put({name: these for name, these in left.items() if these != found[name][0]})

    def forget(self, name: str) -> None:
        """Before a part, or the folder of a day, is removed on purpose."""
        if name.endswith(".parquet"):
            self._files.delete(_manifest(name))
        else:
            self._files.delete_folder(f"{MANIFESTS}/{name}")

    def names(self, folder: str) -> set[str]:
        """Every part below ``<table>`` or ``<table>/<day>`` that was written, there or not."""
        return {_part(found.name) for found in self._files.find(f"{MANIFESTS}/{folder}")}

    def of(self, folder: str) -> dict[str, tuple[Form, ...]]:
        """Forms of every part below ``<table>`` or ``<table>/<day>``, by the part's name."""
        for _ in range(_TRIES):
            there = self._files.find(f"{MANIFESTS}/{folder}")
            new = [found for found in there if found not in self._known]
            try:
                contents = self._files.read_all([found.name for found in new])
            except FileNotFoundError:  # removed just now
                continue
            self._known |= {found: _parsed(found.name, text) for found, text in zip(new, contents, strict=True)}
            break
        return {_part(found.name): self._known[found] for found in there if found in self._known}

    def sound(
        self, folder: str, find: Callable[[], list[Found]], wanted: Callable[[str], bool], *, content: bool
    ) -> list[Found]:
        """What ``find`` finds, once every ``wanted`` part of ``folder`` that has a manifest is as it was written.

        Raises:
            DamagedError: one is gone, has another size or (with ``content``) other bytes.
        """
        found, damage = self._examined(folder, find, wanted, content=content)
        if damage:
            raise self._error(*damage[0])
        return found

    def damaged(self, folder: str, find: Callable[[], list[Found]], *, content: bool) -> list[str]:
        """As `sound`: a sentence for each part that is not as it was written."""
        _, damage = self._examined(folder, find, lambda _: True, content=content)
        return [str(self._error(name, what)) for name, what in damage]

    def _examined(
        self, folder: str, find: Callable[[], list[Found]], wanted: Callable[[str], bool], *, content: bool
    ) -> tuple[list[Found], list[tuple[str, str]]]:
        """What ``find`` finds, and its damage: that of two looks at the same files, since others may replace them."""
        before: object = None
        for _ in range(_TRIES):
            known = {name: forms for name, forms in self.of(folder).items() if wanted(name)}
            found = find()
            damage = self._damage(known, [one for one in found if wanted(one.name)], content=content)
            now = damage, [one for one in found if one.name in dict(damage)]
            if not damage or now == before:
                break
            before = now
        return found, damage

    def _error(self, name: str, what: str) -> DamagedError:
        return DamagedError(f"the lake's file {name} {what}: {self._remedy(name)}, or restore a backup.")

    def _damage(
        self, known: dict[str, tuple[Form, ...]], found: Sequence[Found], *, content: bool
    ) -> list[tuple[str, str]]:
        there = {one.name: one for one in found}
        wrong = [(name, "is gone") for name in known if name not in there]
        same = []
        for name, forms in known.items():
            if (one := there.get(name)) is not None:
                if one.size in {form.bytes for form in forms}:
                    same.append(one)
                else:
                    wrong.append((name, f"is damaged ({one.size:,} bytes instead of {forms[-1].bytes:,})"))
        if content:
            new = [one for one in same if one not in self._sound]
            with ThreadPoolExecutor(_HASHED) as pool:
                for one, digest in zip(new, pool.map(self._digest, new), strict=True):
                    if digest in {form.sha256 for form in known[one.name]}:
                        self._sound.add(one)
                    else:
                        wrong.append((one.name, "is damaged (its SHA-256 is another)"))
        return sorted(wrong)

    def _digest(self, one: Found) -> str | None:
        try:
            with self._files.open(one.name) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto
        except FileNotFoundError:
            return None

    def _forms(self, names: Collection[str]) -> Iterator[tuple[str, tuple[Form, ...]]]:
        def read(name: str) -> tuple[Form, ...]:
            try:
                return _parsed(_manifest(name), self._files.read(_manifest(name)))
            except (FileNotFoundError, DamagedError):
                return ()

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from zip(names, pool.map(read, names), strict=True)

    def _put(self, forms: Mapping[str, tuple[Form, ...]]) -> None:
        """Writes manifests anew."""
        if forms:
            texts = {name: json.dumps([asdict(one) for one in these]).encode() for name, these in forms.items()}
            self._files.write({_manifest(name): partial(_write, text) for name, text in texts.items()})


def _with(known: Collection[Form], form: Form) -> tuple[Form, ...]:
    return (*(one for one in known if one != form), form)[-_KEPT:]


def _write(text: bytes, file: BinaryIO) -> None:
    file.write(text)


def _manifest(name: str) -> str:
    return f"{MANIFESTS}/{name.removesuffix('.parquet')}.json"


def _part(name: str) -> str:
    return name.removeprefix(f"{MANIFESTS}/").removesuffix(".json") + ".parquet"


def _parsed(name: str, text: bytes) -> tuple[Form, ...]:
    try:
        return tuple(Form(one["bytes"], one["sha256"]) for one in json.loads(text))
    except (ValueError, TypeError, KeyError):
        raise DamagedError(
            f"the lake's file {name} is damaged: remove it, and `recsys doctor` makes it anew."
        ) from None
