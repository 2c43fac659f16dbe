"""What a table of the lake is; the tables themselves stand in `tables` and `offer_tables`."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from recsys_assets import columns as cols
from recsys_assets.errors import TableError

Partition = Literal["daily", "as_of"]


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    ``grain`` is the columns that identify a row; ``columns`` are in the order in which they are written.
    """

    name: str
    partition: Partition
    grain: tuple[str, ...]
    columns: cols.DTypes
    what: str

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """``frame`` with exactly this table's columns, in order.

        Raises:
            TableError: a column is missing or has another dtype.
        """
        wrong = [
            f"{name} is {frame.schema[name]} instead of {dtype}" if name in frame.schema else f"{name} is missing"
            for name, dtype in self.columns.items()
            if frame.schema.get(name) != dtype
        ]
        if wrong:
            raise TableError(f"table {self.name}: " + "; ".join(wrong))
        return frame.select(list(self.columns))

    def empty(self) -> pl.DataFrame:
        """No rows, all columns."""
        return pl.DataFrame(schema=self.columns)
