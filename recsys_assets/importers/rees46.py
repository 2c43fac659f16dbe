"""REES46's multi-category store: its monthly CSV files (`2019-Oct.csv`, also .gz and .zst).

Columns: event_time (UTC), event_type (view, cart, remove_from_cart, purchase), product_id, category_id,
category_code, brand, price, user_id, user_session. `category_id` is not read: it is a number without a name.

Every row has the price that the shop asked at that moment, in US dollars. It is the event's `unit_price` whatever the
event is: paid where it is a purchase, seen on the shelf where it is a view. The store records one row per product
bought and no order number, so `quantity` and `order_id` are empty (one unit).

Each file gives a catalogue too, since the shop publishes none: one row per product and day (UTC) on which price,
category or brand differ from the product's last row. The price of a day is the median of those seen on it, above 0;
category and brand are the first ones seen on it. The file has no product names: `name` is made of the brand and the
last word of the category path ("Lenovo Notebook"), for e-mails and pages; it is empty where there is neither.
"""

from pathlib import Path

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.complete_journey import readable
from recsys_assets.importers.files import expand
from recsys_assets.importers.published import changes, demand_columns, demand_form, demand_no_options, middle
from recsys_assets.importers.text import read_csv
from recsys_assets.logic.landing import as_time, by_value
from recsys_assets.logic.parsing import parse_micros
from recsys_assets.tables import MICROS

COLUMNS = (
    "event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id",
    "user_session",
)  # fmt: skip
_EVENT_MAPPING = (
    ("event_time", "event_time"), ("event_type", "event_type"), ("product_id", "product_id"), ("price", "unit_price"),
    ("user_id", "user_id"), ("user_session", "session_id"),
)  # fmt: skip
_CATALOG_MAPPING = (
    ("product_id", "product_id"), ("category_code", "category"), ("brand", "brand"), ("price", "unit_price"),
    ("brand", "name"), ("category_code", "name"), ("event_time", "updated_at"),
)  # fmt: skip
_NOTES = ("times are UTC", "currency is USD")
_FORM, _EXAMPLE = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", "2019-10-01 00:00:00 UTC"


class Rees46Importer:
    """`rees46`: monthly CSV files of the multi-category store."""

    what = "REES46 multi-category store: its monthly CSV files"

    def pieces(self, path: str) -> list[Piece]:
        """A catalogue and events per file."""
        files = expand(path, ("csv",))
        return [piece for file in files for piece in (Piece((file,), "catalog"), Piece((file,), "events"))]

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """Every row as an event, or the catalogue that the rows show.

        Raises:
            SourceError: the file cannot be read, or is not of this store.
        """
        demand_no_options("rees46", mapping, kind)
        path = piece.files[0]
        sent = read_csv(path)
        demand_columns(path, sent.columns, COLUMNS, "a file of the REES46 store")
        demand_form(path, sent["event_time"], _FORM, _EXAMPLE)
        if piece.kind == "catalog":
            return Raw("catalog", _catalog(sent), mapping=_CATALOG_MAPPING, notes=_NOTES)
        other = [name for name in sent.columns if name not in (*COLUMNS, *RAW_COLUMNS)]
        return Raw("events", _events(sent), tuple(sorted([*other, "category_id"])), _EVENT_MAPPING, _NOTES)


def _events(sent: pl.DataFrame) -> pl.DataFrame:
    return sent.select(
        pl.col("event_type").replace({"cart": "add_to_cart"}),
        "event_time",
        "user_id",
        pl.col("user_session").alias("session_id"),
        "product_id",
        pl.col("price").alias("unit_price"),
        pl.lit("USD").alias("currency"),
        *RAW_COLUMNS,
    )


def category_path(code: str) -> str | None:
    """A category code as people write it.

    >>> category_path("appliances.environment.water_heater")
    'Appliances > Environment > Water Heater'
    """
    return " > ".join(filter(None, (readable(part.replace("_", " ")) for part in code.split(".")))) or None


def _catalog(sent: pl.DataFrame) -> pl.DataFrame:
    """One row per product and day on which something differs; line and offset are those of the day's first row."""
    seen = sent.with_columns(
        as_time(sent["event_time"]).alias("updated_at"),
        by_value(sent["price"], parse_micros, pl.Int64()).alias("_price"),
    ).filter(pl.col("problem").is_null(), pl.col("product_id").is_not_null(), pl.col("updated_at").is_not_null())
    daily = (
        seen.sort("product_id", "updated_at", "category_code", "brand", "source_line", nulls_last=True)
        .group_by("product_id", pl.col("updated_at").dt.date().alias("_day"), maintain_order=True)
        .agg(
            pl.col("updated_at", "source_line", "source_offset").first(),
            pl.col("category_code", "brand").drop_nulls().first(),
            middle(pl.col("_price").filter(pl.col("_price") > 0)),
        )
        .with_columns(pl.col("category_code", "brand", "_price").forward_fill().over("product_id"))
    )
    codes, brands = (daily[name].drop_nulls().unique() for name in ("category_code", "brand"))
    paths = {code: category_path(code) for code in codes}
    path = pl.col("category_code").replace_strict(paths, default=None, return_dtype=pl.String)
    spoken = {brand: readable(brand) or None for brand in brands}
    words = pl.concat_str(
        pl.col("brand").replace_strict(spoken, default=None, return_dtype=pl.String),
        path.str.split(" > ").list.last(),
        separator=" ",
        ignore_nulls=True,
    )
    return (
        changes(daily, ("_price", "category_code", "brand"))
        .sort("updated_at", "product_id")
        .select(
            "product_id",
            pl.when(words != "").then(words).alias("name"),
            path.alias("category"),
            "brand",
            (pl.col("_price") / MICROS).alias("unit_price"),
            pl.lit("USD").alias("currency"),
            "updated_at",
            "source_line",
            "source_offset",
            *(pl.lit(None, dtype=pl.String).alias(name) for name in ("problem", "_line")),
        )
    )
