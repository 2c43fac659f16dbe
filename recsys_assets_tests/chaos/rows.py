"""The table that is printed at the end: one line per fault, over all its trials."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from recsys_assets_tests.chaos.reading import Counts

NAME = "chaos row"  # under which a test's report carries its row
_HEADS = (
    "fault", "trials", "reads", "not 200", "no answer", "over 300 ms", "longest", "lost", "mixed", "resurrected",
    "healed after",
)  # fmt: skip


@dataclass
class Row(Counts):
    """One fault. ``lost`` are wishes that were accepted and do not hold; ``healed`` is the longest time to heal.

    In seconds; None: it did not heal by itself.
    """

    fault: str = ""
    trials: int = 0
    lost: int = 0
    healed: float | None = 0.0

    def add(self, counts: Counts, *, lost: int, healed: float | None) -> None:
        """One more trial."""
        for each in fields(Counts):
            if each.name != "longest_ms":
                setattr(self, each.name, getattr(self, each.name) + getattr(counts, each.name))
        self.longest_ms = max(self.longest_ms, counts.longest_ms)
        self.trials, self.lost = self.trials + 1, self.lost + lost
        self.healed = None if self.healed is None or healed is None else max(self.healed, healed)

    @property
    def slow_share(self) -> float:
        """Of all reads, those over 300 ms."""
        return self.slow / max(1, self.reads)

    def to_report(self) -> dict[str, Any]:
        """As a test's report carries it."""
        return asdict(self)

    def cells(self) -> list[str]:
        """Of the table."""
        return [
            self.fault, f"{self.trials:,}", f"{self.reads:,}", f"{self.refused:,}", f"{self.unanswered:,}",
            f"{self.slow:,} = {100 * self.slow_share:.1f} %", f"{self.longest_ms:,.0f} ms", f"{self.lost:,}",
            f"{self.mixed:,}", f"{self.resurrected:,}", "never" if self.healed is None else f"{self.healed:.1f} s",
        ]  # fmt: skip


def table(rows: Iterable[Row]) -> list[str]:
    """Lines of text, the first of them the heads."""
    lines = [list(_HEADS), *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_HEADS))]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
