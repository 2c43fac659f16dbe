"""The mapping file that `importers.mapped` documents: its sections, and what they may say."""

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from recsys_assets import contract
from recsys_assets.contract import FIELDS, Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.booleans import Booleans
from recsys_assets.importers.csv_dialect import Csv
from recsys_assets.importers.join import Join
from recsys_assets.importers.numbers import Numbers
from recsys_assets.importers.placeholders import Ids
from recsys_assets.importers.section import Section
from recsys_assets.importers.times import Time
from recsys_assets.importers.where import Where
from recsys_assets.tables import EVENT_TYPES


class Price(Section):
    """Where the price of a whole line stands."""

    total: str | None = None


class Returns(Section):
    """How returns are told."""

    negative_quantity: bool = False


class Sql(Section):
    """Which rows of a database."""

    table: str | None = None
    query: str | None = None
    since: str | None = None


class MappingFile(Section):
    """One mapping file."""

    kind: Kind
    columns: dict[str, str]
    constants: dict[str, str | int | float | bool] = Field({})
    event_types: dict[str, Literal[EVENT_TYPES]] = Field({})  # type: ignore[valid-type] # the tuple is the one list of types
    time: Time = Time()
    numbers: Numbers = Numbers()
    booleans: Booleans = Booleans()
    where: Where = Where()
    ids: Ids = Ids()
    csv: Csv = Csv()
    price: Price = Price()
    returns: Returns = Returns()
    join: dict[str, Join] = Field({})
    sql: Sql = Sql()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        fields = {f.name for f in FIELDS[self.kind]}
        strange = sorted((set(self.columns) | set(self.constants)) - fields)
        if strange:
            raise ValueError(f"no fields of {self.kind}: {', '.join(strange)}; fields are {', '.join(sorted(fields))}")
        both = sorted(set(self.columns) & set(self.constants))
        if both:
            raise ValueError(f"both column and constant: {', '.join(both)}")
        if self.sql.table and self.sql.query:
            raise ValueError("[sql] takes a table or a query, not both")
        if self.price.total and ("unit_price" in self.columns or "quantity" not in self.columns):
            raise ValueError("[price] total needs a column for quantity and none for unit_price")
        return self

    @property
    def asked(self) -> dict[str, str]:
        """The file's columns that are read, and the field that each fills."""
        total = {self.price.total: "unit_price, times quantity"} if self.price.total else {}
        fields: dict[str, str] = {}
        for name, column in self.columns.items():
            fields[column] = f"{fields[column]}, {name}" if column in fields else name
        fields |= total
        for column in self.where.columns:
            fields[column] = f"{fields[column]}, and which rows count" if column in fields else "which rows count"
        return fields

    @property
    def fields_asked(self) -> dict[str, contract.Field | None]:
        """The file's columns that are read, and what may stand in each; None: anything."""
        fields = {field.name: field for field in FIELDS[self.kind]}
        named = {column: fields[name] for name, column in self.columns.items()}
        return {column: named.get(column) for column in self.asked}

    def notes(self) -> tuple[str, ...]:
        """How values are read, for people."""
        made = [f"{name} is {value!r} in every row" for name, value in self.constants.items()]
        if any(field.type == "time" for field in FIELDS[self.kind] if field.name in self.columns):
            made.append(f"times are read as {' or '.join(self.time.forms)}, without offset in {self.time.zone}")
        if numbers := self.numbers.described():
            made.append(numbers)
        made += self.where.described()
        if self.event_types:
            made.append("words for event types: " + ", ".join(f"{a} → {b}" for a, b in self.event_types.items()))
        if self.returns.negative_quantity:
            made.append("a purchase with a negative quantity is a return")
        return tuple(made)


def load_mapping(path: Path, over: Path | None = None) -> MappingFile:
    """A mapping file, with what the file ``over`` says instead.

    Raises:
        SourceError: it is missing, no TOML, or says something that is not understood; every point is named.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        path = over or path
        for name, table in tomllib.loads(over.read_text(encoding="utf-8")).items() if over else ():
            both = isinstance(table, dict) and isinstance(said.get(name), dict)
            said[name] = said[name] | table if both else table
        return MappingFile.model_validate(said)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(f"{path}: the mapping file cannot be read: {error}") from error
    except ValidationError as error:
        found = [(".".join(map(str, e["loc"])) or "mapping", e["msg"]) for e in error.errors()]
        points = [f"  {where}: {what.removeprefix('Value error, ')}" for where, what in found]
        raise SourceError(f"{path}: the mapping file is refused:\n" + "\n".join(points)) from error
