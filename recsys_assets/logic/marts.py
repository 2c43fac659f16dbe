"""Events, visits and lists → figures per day and top category without any person in them.

A figure behind which fewer people stand than the k-anonymity floor is never told. A category that has too few is
counted in `OTHER`; where the others together are still too few, the smallest category that has enough joins them,
or the difference from the whole shop would tell. Where even the whole shop has too few, the figure is null. Nobody at
all is no secret: 0.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from recsys_assets.logic.catalog import top_category
from recsys_assets.logic.newest import ORDER, since
from recsys_assets.tables import DAILY_SALES, LIST_COVERAGE

WHOLE, OTHER, NONE = "", "(other)", "(none)"
_CATEGORY, _PEOPLE = "category", pl.col("_person").n_unique().cast(pl.Int64)


def daily_sales(
    events: pl.DataFrame, sessions: pl.DataFrame, landed_catalog: pl.DataFrame, days: Sequence[date], floor: int
) -> pl.DataFrame:
    """Table DAILY_SALES of ``days``, ordered by its grain. Days are independent of each other.

    - Every day has a row of the whole shop. Of orders, buyers, lines, units and revenue it holds all or none; so with
      what was returned, and with sessions, visitors and views. A day on which nobody bought has zeros.
    - On every day the categories' lines, units, revenue and returns add up to the whole shop's. A category whose
      returns are null has them counted in `OTHER`.
    - An order is an order id of one person, or a person's purchases of the day that have none. A line without a price
      adds nothing to revenue. Returns are positive, and not taken off the revenue.
    - A product's category is the one its newest catalogue row up to that day names; of a product that the catalogue
      only knew later, its first.

    Args:
        events: table CLEAN_EVENTS of ``days``; only purchases and returns are read.
        sessions: table SESSIONS of ``days``.
        landed_catalog: table LANDING_CATALOG; rows with a ``problem`` are ignored.
        days: the days, in order.
        floor: fewest people behind a figure.
    """
    value = pl.col("quantity") * pl.col("unit_price_micros")
    lines = _with_category(
        events.filter(pl.col("event_type").is_in(["purchase", "return"])).select(
            "event_date", "event_type", "product_id", "quantity",
            pl.coalesce("user_key", "anon_key").alias("_person"),
            # Labelled, so that an order named "" is not taken for the day's lines without an order.
            (pl.lit("o") + pl.col("order_id")).fill_null("").alias("_order"),
            value.fill_null(0).alias("_value"),
        ),
        landed_catalog,
    )  # fmt: skip
    figures = [
        (
            lines.filter(pl.col("event_type") == "purchase"),
            {
                "orders": pl.struct("_person", "_order").n_unique().cast(pl.Int64),
                "buyers": _PEOPLE,
                "lines": pl.len().cast(pl.Int64),
                "units": pl.col("quantity").sum(),
                "revenue_micros": pl.col("_value").sum(),
            },
        ),
        (
            lines.filter(pl.col("event_type") == "return"),
            {"returned_units": -pl.col("quantity").sum(), "returned_micros": -pl.col("_value").sum()},
        ),
    ]
    visits = sessions.with_columns(pl.col("person_key").alias("_person"))
    of_shop = [
        (
            visits,
            {"sessions": pl.len().cast(pl.Int64), "visitors": _PEOPLE, "views": pl.col("views").sum()},
        ),
        (visits.filter("converted"), {"converted_sessions": pl.len().cast(pl.Int64)}),
        (visits.filter(pl.col("carts") > 0), {"carts": pl.col("carts").sum()}),
    ]
    known = pl.DataFrame(schema={"event_date": pl.Date, _CATEGORY: pl.String})
    return DAILY_SALES.conform(_table("event_date", days, known, figures, of_shop, floor))


def list_coverage(lists: pl.DataFrame, catalog: pl.DataFrame, as_of: date, floor: int) -> pl.DataFrame:
    """Table LIST_COVERAGE of one day, ordered by category.

    Products of the catalogue are told for every category. Candidates, places and purchased places of a category that
    too few people see are counted in `OTHER`, so that they add up to the whole shop's; a person who sees two
    categories is counted in both.

    Args:
        lists: table LISTS of the day.
        catalog: table CATALOG of the same day.
        as_of: the day.
        floor: fewest people behind a figure.
    """
    named = top_category(pl.col(_CATEGORY)).fill_null(NONE)
    known = catalog.select(
        pl.lit(as_of).alias("as_of_date"),
        named.alias(_CATEGORY),
        pl.col("not_recommendable").is_null().alias("_listable"),
    )
    counts = [
        pl.len().cast(pl.Int64).alias("products"),
        pl.col("_listable").sum().cast(pl.Int64).alias("recommendable"),
    ]
    per_category = known.group_by("as_of_date", _CATEGORY).agg(counts)
    whole = known.select(counts).with_columns(pl.lit(as_of).alias("as_of_date"), pl.lit(WHOLE).alias(_CATEGORY))
    listed = lists.select(
        pl.lit(as_of).alias("as_of_date"), named.alias(_CATEGORY), pl.col("person_key").alias("_person"),
        "product_id", "price_micros", "purchased", "position",
    )  # fmt: skip
    served = listed.filter(pl.col("position").is_not_null())
    figures = [
        (listed, {"listed_products": pl.col("product_id").n_unique().cast(pl.Int64)}),
        (
            served,
            {
                "served_products": pl.col("product_id").n_unique().cast(pl.Int64),
                "people": _PEOPLE,
                "places": pl.len().cast(pl.Int64),
                "places_micros": pl.col("price_micros").sum(),
            },
        ),
        (served.filter("purchased"), {"purchased_places": pl.len().cast(pl.Int64)}),
    ]
    told = _table("as_of_date", [as_of], per_category.select("as_of_date", _CATEGORY), figures, [], floor)
    products = pl.concat([whole.select(per_category.columns), per_category])
    both = products.join(told, on=["as_of_date", _CATEGORY], how="full", coalesce=True).sort(_CATEGORY)
    return LIST_COVERAGE.conform(both)


_Figures = Sequence[tuple[pl.DataFrame, dict[str, pl.Expr]]]


def _table(
    day: str, days: Sequence[date], known: pl.DataFrame, figures: _Figures, of_shop: _Figures, floor: int
) -> pl.DataFrame:
    """One row per day and category told, ordered so; ``known`` are categories that have a row in any case.

    Each pair is rows with ``day``, ``_person`` and ``category``, and what is made of them. ``of_shop`` are figures of
    rows that have no category.
    """
    told = pl.DataFrame({day: days, _CATEGORY: [WHOLE] * len(days)}, schema={day: pl.Date, _CATEGORY: pl.String})
    parts = []
    for rows, made in (*figures, *of_shop):
        aggregates = [expression.alias(name) for name, expression in made.items()]
        shop = rows.group_by(day).agg(*aggregates, _PEOPLE.alias("_people"))
        # Nobody at all is no secret: zeros. A few are one: null.
        few = ((pl.col("_people") < floor) & pl.col("_people").is_not_null()).alias("_few")
        told = told.join(shop, on=day, how="left").with_columns(few)
        told = told.with_columns(pl.when(~pl.col("_few")).then(pl.col(name).fill_null(0)).alias(name) for name in made)
        if _CATEGORY in rows.columns:
            part = _folded(rows, day, floor).group_by(day, _CATEGORY).agg(aggregates)
            parts.append((part, rows, told.select(day, "_few"), made))
        told = told.drop("_people", "_few")
    categories = pl.concat([known, *(part.select(day, _CATEGORY) for part, *_ in parts)]).unique()
    for part, rows, withheld, made in parts:
        somebody = rows.select(day, _CATEGORY, pl.lit(True).alias("_somebody")).unique()
        nobody = pl.col("_somebody").is_null() & ~pl.col("_few")
        categories = (
            categories.join(part, on=[day, _CATEGORY], how="left")
            .join(somebody, on=[day, _CATEGORY], how="left")
            .join(withheld, on=day, how="left")
            .with_columns(pl.when(nobody).then(pl.col(name).fill_null(0)).otherwise(name).alias(name) for name in made)
            .drop("_somebody", "_few")
        )
    return pl.concat([told, categories], how="diagonal").sort(day, _CATEGORY)


def _folded(rows: pl.DataFrame, day: str, floor: int) -> pl.DataFrame:
    """The rows under the categories that may be told; rows of a day on which nothing may be are left out."""
    sizes = rows.group_by(day, _CATEGORY).agg(_PEOPLE.alias("_people"))
    few = pl.col("_people") < floor
    together = (
        rows.join(sizes.filter(few), on=[day, _CATEGORY], how="semi").group_by(day).agg(_PEOPLE.alias("_together"))
    )
    # The smallest that has enough joins those that are too few even together: one is enough, because it has enough.
    enough = sizes.filter(~few).sort(day, "_people", _CATEGORY)
    joins = enough.unique(day, keep="first", maintain_order=True).join(
        together.filter(pl.col("_together") < floor), on=day, how="semi"
    )
    folded = pl.concat([sizes.filter(few), joins]).select(day, _CATEGORY, pl.lit(OTHER).alias("_shown"))
    told = rows.group_by(day).agg(_PEOPLE.alias("_people")).filter(~few)
    return (
        rows.join(told, on=day, how="semi")
        .join(folded, on=[day, _CATEGORY], how="left")
        .with_columns(pl.coalesce("_shown", _CATEGORY).alias(_CATEGORY))
    )


def _with_category(lines: pl.DataFrame, landed_catalog: pl.DataFrame) -> pl.DataFrame:
    """The lines with their products' top category on their day."""
    # As logic.catalog chooses a product's newest row.
    named = (
        landed_catalog.filter(pl.col("problem").is_null(), pl.col("product_id").is_not_null())
        .with_columns(since(), top_category(pl.col("category")).fill_null(NONE).alias(_CATEGORY))
        .sort("product_id", *ORDER)
        .unique(["product_id", "event_date"], keep="last", maintain_order=True)
        .select("product_id", "event_date", _CATEGORY)
        .sort("event_date")
    )
    first = named.unique("product_id", keep="first", maintain_order=True).select("product_id", _first=_CATEGORY)
    found = lines.sort("event_date").join_asof(
        named, on="event_date", by="product_id", strategy="backward", check_sortedness=False
    )
    return found.join(first, on="product_id", how="left").with_columns(
        pl.coalesce(_CATEGORY, "_first", pl.lit(NONE)).alias(_CATEGORY)
    )
