"""Clean events → what people bought at once, and what they looked at: what plans are learned from and held against."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from recsys_assets.logic.price_tiers import TIERS, product_tiers
from recsys_assets.logic.returns import LINE, PAIR, order_name, purchases_after_returns

LOOKS = ("view", "click", "search_click", "add_to_cart", "wishlist_add")


@dataclass(frozen=True)
class Shopping:
    """What people did, reduced to what a plan is about; ordered by person and time.

    ``lines`` one row per product of an order: ``person_key``, ``event_date``, ``_time``, ``_order`` (a number),
    ``product_id``, ``category`` (the plan's; '' where there is none), ``price_micros`` (paid, or null),
    ``spend_micros``, ``_tier`` (0 to 2, or null), ``_gift``, ``_returned_date`` (when the last of it came back, or
    null: `logic.returns`).
    ``baskets`` one row per order: ``person_key``, ``event_date``, ``_time`` (µs since 1970), ``_order``, ``category``
    (the main one: on which the most was spent, then of which the most products are, then the first by name),
    ``product_id`` (the dearest line of it), ``_tier`` and ``_gift`` of that product.
    What one order sells on another day is another one: what a day knows of an order does not change the day after.
    ``looks`` one row per look: ``person_key``, ``event_date``, ``_time``, ``product_id``, ``category``, ``_price``
    (today's, micros), ``_tier``, ``_gift``, ``_cart``; of a cart ``_removed`` and ``_removed_date``: when the product
    was first taken out of it again, or null.

    Persons, categories and products are enumerations, in the order of their names: all that plans are learned from is
    grouped by them again and again, which takes a third of the time that texts take.
    """

    lines: pl.DataFrame
    baskets: pl.DataFrame
    looks: pl.DataFrame

    def until(self, day: date) -> "Shopping":
        """What was known at the end of ``day``."""
        known = pl.col("event_date") <= day
        back, out = pl.col("_returned_date") <= day, pl.col("_removed_date") <= day
        return Shopping(
            self.lines.filter(known).with_columns(pl.when(back).then("_returned_date").alias("_returned_date")),
            self.baskets.filter(known),
            self.looks.filter(known).with_columns(
                pl.when(out).then(name).alias(name) for name in ("_removed", "_removed_date")
            ),
        )

    def of(self, people: pl.DataFrame) -> "Shopping":
        """The same of some people (``person_key``)."""
        return Shopping(
            *(
                frame.join(people, on="person_key", how="semi", maintain_order="left")
                for frame in (self.lines, self.baskets, self.looks)
            )
        )


def plan_category(path: pl.Expr, depth: int) -> pl.Expr:
    """The first ``depth`` parts of a category path; null where there is none.

    >>> pl.select(plan_category(pl.lit("Grocery > Bread > Rye"), 2)).item()
    'Grocery > Bread'
    """
    part = pl.element().str.strip_chars()
    joined = path.str.split(">").list.eval(part.filter(part != "")).list.head(depth).list.join(" > ")
    return pl.when(joined != "").then(joined)


def planned_products(
    catalog: pl.DataFrame, price_tiers: pl.DataFrame, depth: int, gift_words: tuple[str, ...]
) -> pl.DataFrame:
    """One row per product: ``product_id``, ``category``, ``_price``, ``_tier`` (0 budget … 2 premium), ``_gift``.

    A product is a gift where a word of its name, category or tags is one of ``gift_words``, whatever its case.

    Args:
        catalog: table CATALOG.
        price_tiers: table PRICE_TIERS made from it.
        depth: levels of the category's path.
        gift_words: words, not parts of words.
    """
    words = [word.lower() for word in gift_words]
    said = pl.concat_str(
        pl.col("name"), pl.col("category"), pl.col("tags").list.join(" "), separator=" ", ignore_nulls=True
    )
    tier = pl.col("price_tier").replace_strict({name: place for place, name in enumerate(TIERS)}, default=None)
    return (
        catalog.join(
            product_tiers(catalog, price_tiers).select("product_id", "price_tier"), on="product_id", how="left"
        )
        .select(
            "product_id",
            plan_category(pl.col("category"), depth).fill_null(""),
            pl.col("unit_price_micros").alias("_price"),
            tier.cast(pl.Int64).alias("_tier"),
            said.str.to_lowercase()
            .str.extract_all(r"\p{L}+")
            .list.eval(pl.element().is_in(words))
            .list.any()
            .fill_null(False)
            .alias("_gift"),
        )
        .sort("product_id")
    )


def shopping(events: pl.DataFrame | pl.LazyFrame, products: pl.DataFrame) -> Shopping:
    """What people bought and looked at.

    Args:
        events: table CLEAN_EVENTS, of people who may be learned from.
        products: as `planned_products` makes them.
    """
    seen = (
        events.lazy()
        .filter(pl.col("event_type").is_in(["purchase", "return", "remove_from_cart", *LOOKS]))
        .select(
            pl.coalesce("user_key", "anon_key").alias("person_key"),
            *LINE,
            pl.col("event_time").dt.epoch("us").alias("_time"),
            pl.concat_str(order_name(), pl.col("event_date").cast(pl.String), separator=" ").alias("_order"),
        )
        .filter(pl.col("person_key").is_not_null(), pl.col("product_id").is_not_null())
        .join(products.lazy(), on="product_id")
        .collect()
    )
    seen = seen.join(_returned(seen), on=[*PAIR, "_order"], how="left")
    for name in ("person_key", "category", "product_id", "_order"):
        seen = seen.with_columns(pl.col(name).cast(pl.Enum(seen[name].unique().sort())))
    seen = seen.with_columns(pl.col("_order").to_physical().cast(pl.Int64))
    paid = pl.when(pl.col("unit_price_micros") > 0).then(pl.col("unit_price_micros"))
    bought = seen.filter(pl.col("event_type") == "purchase")
    lines = (
        bought.group_by("person_key", "_order", "product_id")
        .agg(
            pl.col("category", "_tier", "_gift", "_returned_date").first(),
            pl.col("event_date", "_time").min(),
            paid.max().alias("price_micros"),
            (pl.col("quantity").fill_null(1) * paid.fill_null(0)).sum().alias("spend_micros"),
        )
        .sort("person_key", "_time", "_order", "product_id")
    )
    looks = seen.filter(pl.col("event_type").is_in(LOOKS)).select(
        "person_key", "event_date", "_time", "product_id", "category", "_price", "_tier", "_gift",
        (pl.col("event_type") == "add_to_cart").alias("_cart"),
    )  # fmt: skip
    looks = _with_removals(looks, seen.filter(pl.col("event_type") == "remove_from_cart"))
    return Shopping(lines, _baskets(lines), looks.sort("person_key", "_time", "product_id", "_cart"))


def _returned(lines: pl.DataFrame) -> pl.DataFrame:
    """``person_key``, ``product_id``, ``_order`` and ``_returned_date`` of what came back to the last unit."""
    # Most people return nothing: only pairs with a return are looked at.
    pairs = lines.filter(pl.col("event_type") == "return").select(PAIR).unique()
    kept = purchases_after_returns(lines.join(pairs, on=PAIR, how="semi"))
    order = pl.concat_str("_order", pl.col("event_date").cast(pl.String), separator=" ").alias("_order")
    return kept.filter(pl.col("_returned_date").is_not_null()).select(*PAIR, order, "_returned_date")


def _with_removals(looks: pl.DataFrame, removals: pl.DataFrame) -> pl.DataFrame:
    """``looks``; of each cart ``_removed`` and ``_removed_date``, when its product was first taken out again."""
    when = removals.select(
        *PAIR, "_time", pl.col("_time").alias("_removed"), pl.col("event_date").alias("_removed_date")
    )
    found = looks.sort("_time").join_asof(
        when.sort("_time", "_removed_date"), on="_time", by=PAIR, strategy="forward", check_sortedness=False
    )
    return found.with_columns(pl.when("_cart").then(name).alias(name) for name in ("_removed", "_removed_date"))


def _baskets(lines: pl.DataFrame) -> pl.DataFrame:
    order = ["person_key", "_order"]
    by_category = lines.group_by(*order, "category").agg(
        pl.col("spend_micros").sum().alias("_spent"), pl.len().alias("_lines")
    )
    best_first = [False, False, True, True, False]
    main = by_category.sort(*order, "_spent", "_lines", "category", descending=best_first).unique(
        order, keep="first", maintain_order=True
    )
    begun = lines.group_by(order).agg(pl.col("event_date", "_time").min())
    dearest = (
        lines.join(main.select(*order, "category"), on=[*order, "category"])
        .sort(*order, "spend_micros", "product_id", descending=[False, False, True, False])
        .unique(order, keep="first", maintain_order=True)
    )
    return (
        dearest.select(*order, "category", "product_id", "_tier", "_gift")
        .join(begun, on=order)
        .select("person_key", "event_date", "_time", "_order", "category", "product_id", "_tier", "_gift")
        .sort("person_key", "_time", "_order")
    )
