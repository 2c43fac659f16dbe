"""What an import tells about each file."""

from dataclasses import asdict, dataclass, field

# Reasons that are no fault of the file: a rate may land after it, and its rows come back then.
_EXPECTED = ("not_a_product", "currency_without_rate")


@dataclass(frozen=True)
class Example:
    """Where one row stands in its file."""

    line: int
    offset: int | None


@dataclass(frozen=True)
class Rejected:
    """How many rows of a file break one rule, and where the first of them stand."""

    rows: int
    examples: tuple[Example, ...]

    @property
    def line(self) -> int:
        """Of the first one."""
        return self.examples[0].line

    @property
    def offset(self) -> int | None:
        """Of the first one."""
        return self.examples[0].offset


@dataclass(frozen=True)
class FileReport:
    """One file: rows = clean + rejected + duplicates + redelivered + erased + dropped.

    ``duplicates`` repeat a row of the same file, ``redelivered`` one that another file already brought; ``erased`` did
    not land, being about people who were erased, ``dropped`` what the mapping leaves out. ``days``
    counts landed rows, ``changed`` names the days that hold something new, ``ignored`` the columns that nobody reads.
    ``mapping``, ``notes``, ``warnings`` and ``counted`` say how the rest was read (see `Raw`).
    """

    format: str
    path: str
    file_id: str
    table: str
    rows: int
    days: dict[str, int]
    already_delivered: bool = False
    clean: int = 0
    duplicates: int = 0
    redelivered: int = 0
    erased: int = 0
    dropped: int = 0
    rejected: dict[str, Rejected] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counted: str = ""

    @property
    def rejected_share(self) -> float:
        """Of the rows that count, postage and the like apart."""
        rows = self._counting
        faulty = sum(found.rows for reason, found in self.rejected.items() if reason not in _EXPECTED)
        return faulty / rows if rows else 0.0

    @property
    def wholly_rejected(self) -> bool:
        """Whether not one row that counts is taken, for whatever reason."""
        return 0 < self._counting == sum(found.rows for found in self.rejected.values())

    @property
    def _counting(self) -> int:
        return self.rows - self.dropped - self.erased


def report_json(report: FileReport) -> dict[str, object]:
    """A report as plain values."""
    return asdict(report)
