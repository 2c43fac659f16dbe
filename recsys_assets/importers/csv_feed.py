"""Lines as `csv.reader` takes them: those of the row that is being read can be given back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from recsys_assets.contract import MAX_LINE_BYTES
from recsys_assets.importers.lines import Line


@dataclass
class Tally:
    """How many lines of a file are what; with the ``rows`` they are all of its lines."""

    before: int = 0  # skipped, `sep=` or the header
    rows: int = 0
    further: int = 0  # lines of rows that hold line ends
    blank: int = 0
    comments: int = 0

    def lines(self) -> int:
        """Of the whole file."""
        return self.before + self.rows + self.further + self.blank + self.comments

    def described(self) -> str:
        """For people."""
        parts = [(self.rows, "rows"), (self.before, "header"), (self.further, "further lines of rows")]
        parts += [(self.blank, "blank"), (self.comments, "comments")]
        return f"{self.lines():,} lines = " + " + ".join(f"{count:,} {what}" for count, what in parts if count)


@dataclass
class Feed:
    """Physical lines for `csv.reader`, which remembers those of the row that is being read."""

    fresh: Iterator[Line]
    decode: Callable[[bytes], str]
    comment: bytes
    tally: Tally
    taken: list[Line] = field(default_factory=list)
    problem: str | None = None
    _again: list[Line] = field(default_factory=list)  # reversed

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self.fresh)
        if self.comment and not self.taken:
            while line[2].startswith(self.comment):
                self.tally.comments += 1
                line = self._again.pop() if self._again else next(self.fresh)
        self.taken.append(line)
        raw = line[2]
        if len(raw) > MAX_LINE_BYTES:
            self.problem = "line_too_long"
            return "\n"
        try:
            return self.decode(raw)
        except UnicodeDecodeError:
            self.problem = "not_utf8"
            return raw.decode("latin-1")

    def next_row(self) -> None:
        """What was taken is done with."""
        self.taken = []
        self.problem = None

    def give_back(self, first: int = 1) -> None:
        """All lines of the row from ``first`` on are read again, as rows of their own."""
        self._again.extend(reversed(self.taken[first:]))
        del self.taken[first:]
