"""RetailRocket: a folder with events.csv, item_properties_part1.csv, item_properties_part2.csv, category_tree.csv.

Each may also be compressed; a path to events.csv alone gives the events alone. Times are milliseconds since 1970.

A visitor is a cookie, not a customer who has logged in: `visitorid` is the `anon_id`. Anonymous people get profiles and
lists like everybody else; only e-mails need a known user. `view`, `addtocart` and `transaction` become view,
add_to_cart and purchase, `transactionid` is the order. The source says neither units nor amounts paid: `quantity` and
`unit_price` are empty, purchases are flagged `price_missing`, and sales in money are 0.

Of the properties only three can be read, all others being hashed: `categoryid`, `available` (0 or 1) and `790`, the
price, an "n" and a number ("n277200.000"), in a currency that the source does not name: the home's. The catalogue has
one row per product and time at which one of the three changes, with what was known of the others by then. `category`
is the path of ids from the top of the tree, "1016 > 1338". There are no names. Its `source_line` counts the lines of
the files one after the other, in order of name; a line of the category tree that cannot be read is a rejected row of
the catalogue too.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.files import expand, layout_of
from recsys_assets.importers.published import changes, demand_columns, demand_form, demand_no_options
from recsys_assets.importers.text import read_csv

_EVENTS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
_PROPERTIES = ("timestamp", "itemid", "property", "value")
_TREE = ("categoryid", "parentid")
_READ = {"categoryid": "category", "available": "in_stock", "790": "unit_price"}
_TYPES = {"addtocart": "add_to_cart", "transaction": "purchase"}
_FORM, _EXAMPLE = r"^\d{12,13}$", "1433221332117"
_EVENT_MAPPING = (
    ("timestamp", "event_time"), ("visitorid", "anon_id"), ("event", "event_type"), ("itemid", "product_id"),
    ("transactionid", "order_id"),
)  # fmt: skip
_CATALOG_MAPPING = (("itemid", "product_id"), ("timestamp", "updated_at"), *_READ.items())
_TIMES = "times are milliseconds since 1970"
_NOTES = (_TIMES, "790 is the price: an n and a number, in the home's currency")


class RetailRocketImporter:
    """`retailrocket`: the folder of a RetailRocket download."""

    what = "RetailRocket: a folder with events.csv, item_properties_part*.csv and category_tree.csv"

    def pieces(self, path: str) -> list[Piece]:
        """Per folder its catalogue, where there are properties, and its events.

        Raises:
            SourceError: there is neither.
        """
        found = expand(path, ("csv",))
        made: list[Piece] = []
        for folder in sorted({file.parent for file in found}):
            if any(file.parent == folder and _is_properties(file) for file in found):
                files = sorted(file for file in folder.iterdir() if layout_of(file) == "csv")
                trees = [file for file in files if _stem(file) == "category_tree"]
                made.append(Piece((*filter(_is_properties, files), *trees), "catalog"))
            made += [Piece((file,), "events") for file in found if file.parent == folder and _stem(file) == "events"]
        if not made:
            raise SourceError(f"{path}: there is neither events.csv nor item_properties_part1.csv. Check the path.")
        return made

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """Every event, or the catalogue of every time at which a product changed.

        Raises:
            SourceError: a file cannot be read, or is not RetailRocket's.
        """
        demand_no_options("retailrocket", mapping, kind)
        if piece.kind == "catalog":
            return Raw("catalog", _catalog(piece.files), mapping=_CATALOG_MAPPING, notes=_NOTES)
        path = piece.files[0]
        sent = read_csv(path)
        demand_columns(path, sent.columns, _EVENTS, "RetailRocket's events.csv")
        demand_form(path, sent["timestamp"], _FORM, _EXAMPLE)
        other = sorted(name for name in sent.columns if name not in (*_EVENTS, *RAW_COLUMNS))
        return Raw("events", _events(sent), tuple(other), _EVENT_MAPPING, (_TIMES,))


def _stem(file: Path) -> str:
    return file.name.lower().split(".")[0]


def _is_properties(file: Path) -> bool:
    return _stem(file).startswith("item_properties")


def _time() -> pl.Expr:
    """Null where it is no time; thirteen digits end in the year 2286."""
    text = pl.col("timestamp").str.strip_chars()
    milliseconds = pl.when(text.str.contains(r"^\d{1,13}$")).then(text).cast(pl.Int64, strict=False)
    return (milliseconds * 1_000).cast(pl.Datetime("us", "UTC"))


def _events(sent: pl.DataFrame) -> pl.DataFrame:
    event_type = pl.col("event").replace(_TYPES)
    lost = pl.col("timestamp").is_not_null() & _time().is_null()
    return sent.select(
        event_type.alias("event_type"),
        _time().alias("event_time"),
        pl.col("visitorid").alias("anon_id"),
        pl.col("itemid").alias("product_id"),
        pl.when(event_type == "purchase").then("transactionid").alias("order_id"),
        "source_line",
        "source_offset",
        pl.coalesce("problem", pl.when(lost).then(pl.lit("event_time_unreadable"))).alias("problem"),
        "_line",
    )


def _catalog(files: tuple[Path, ...]) -> pl.DataFrame:
    properties: list[pl.DataFrame] = []
    refused: list[pl.DataFrame] = []
    parents: dict[str, str | None] = {}
    before = 0
    for path in files:
        if _is_properties(path):
            read, lines = _read(path, _PROPERTIES, "RetailRocket's item_properties", pl.col("property").is_in(_READ))
            properties.append(_counted(read, before))
        else:
            read, lines = _read(path, _TREE, "RetailRocket's category_tree.csv", pl.lit(True))
            tree = read.filter(pl.col("problem").is_null(), pl.col("categoryid").is_not_null())
            parents |= dict(tree.select(_TREE).iter_rows())
            refused.append(_counted(read.filter(pl.col("problem").is_not_null()), before))
        before += lines
    rows = pl.concat(properties)
    demand_form(files[0], rows["timestamp"], _FORM, _EXAMPLE)
    rows = rows.with_columns(_time().alias("updated_at"))
    problem = pl.coalesce(
        "problem",
        pl.when(pl.col("updated_at").is_null()).then(pl.lit("updated_at_unreadable")),
        pl.when(pl.col("itemid").is_null()).then(pl.lit("product_missing")),
    ).alias("problem")
    rows = rows.with_columns(problem, pl.col("itemid").alias("product_id"))
    bad = rows.filter(pl.col("problem").is_not_null()).select("product_id", "updated_at", *RAW_COLUMNS)
    good = _history(rows.filter(pl.col("problem").is_null()))
    paths = {category: category_path(category, parents) for category in good["category"].drop_nulls().unique()}
    made = good.with_columns(pl.col("category").replace(paths), pl.col("unit_price").str.strip_prefix("n"))
    # A row that names no time would land on the day of delivery, which an archive of 2015 does not have.
    first = pl.col("updated_at").fill_null(rows["updated_at"].min())
    return pl.concat([made, bad, *(rest.select(*RAW_COLUMNS) for rest in refused)], how="diagonal").with_columns(first)


def _read(path: Path, columns: tuple[str, ...], what: str, wanted: pl.Expr) -> tuple[pl.DataFrame, int]:
    """Rows that are ``wanted`` or cannot be read; number of the last line. Most properties are not wanted at all."""
    last = 0

    def keep(chunk: pl.DataFrame) -> pl.DataFrame:
        nonlocal last
        demand_columns(path, chunk.columns, columns, what)
        last = chunk["source_line"].item(-1)
        return chunk.filter(wanted | pl.col("problem").is_not_null()).select(*columns, *RAW_COLUMNS)

    return read_csv(path, keep=keep), last


def _counted(read: pl.DataFrame, before: int) -> pl.DataFrame:
    """Lines counted on from the files ``before``, in which a byte offset means nothing."""
    if before == 0:
        return read
    return read.with_columns(pl.col("source_line") + before, pl.lit(None, dtype=pl.Int64).alias("source_offset"))


def _history(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per product and time at which one of the properties changed, each with its last known value."""
    # Of two values of one time the greater one: no row is the later one.
    values = [pl.col("value").filter(pl.col("property") == name).max().alias(field) for name, field in _READ.items()]
    daily = (
        rows.group_by("product_id", "updated_at", maintain_order=True)
        .agg(*values, pl.col("source_line", "source_offset").first())
        .sort("product_id", "updated_at")
        .with_columns(pl.col(*_READ.values()).forward_fill().over("product_id"))
    )
    nothing = [pl.lit(None, dtype=pl.String).alias(name) for name in ("problem", "_line")]
    return changes(daily, tuple(_READ.values())).sort("updated_at", "product_id").with_columns(*nothing)


def category_path(category: str, parents: Mapping[str, str | None]) -> str:
    """Ids from the top of the tree down to ``category``; one that is met twice ends the path.

    >>> category_path("1338", {"1338": "1016", "1016": None})
    '1016 > 1338'
    """
    path = [category]
    while (parent := parents.get(path[-1])) and parent not in path:
        path.append(parent)
    return " > ".join(reversed(path))
