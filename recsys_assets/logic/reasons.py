"""Why a product is on a list: true, counted, and recomputable from the interactions."""

import polars as pl

from recsys_assets.tuning import Tuning

REASONS = ("bought_before", "similar_owned", "category_owned", "popular", "taste")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def last_category(category: pl.Expr) -> pl.Expr:
    """Last part of a category path: ``Rye`` of ``Grocery > Bread > Rye``."""
    return category.str.split(">").list.last().str.strip_chars()


def popular_text(buyers: pl.Expr, days: int) -> pl.Expr:
    """``Bought by 123 customers in the last 30 days``."""
    span = "day" if days == 1 else f"{days} days"
    return pl.format(f"Bought by {{}} {{}} in the last {span}", buyers, _plural(buyers, "customer"))


def with_reasons(
    listed: pl.DataFrame,
    catalog: pl.DataFrame,
    item_stats: pl.DataFrame,
    interactions: pl.DataFrame,
    tuning: Tuning,
) -> pl.DataFrame:
    """``listed`` with ``reason_code``, ``reason_count`` and ``reason``: the first of these that holds.

    - ``bought_before``: days of the window on which the person bought it;
    - ``similar_owned``: products the person bought that have it among their neighbours, as Level 1 counted;
    - ``category_owned``: products the person bought of the same category path;
    - ``popular``: people who bought it lately, from ``k_anonymity`` up;
    - ``taste``: no count.

    Args:
        listed: one row per person and product, with ``similar_owned`` and ``category``.
        catalog: table CATALOG, also of products that are not recommendable.
        item_stats: table ITEM_STATS.
        interactions: table INTERACTIONS, at least of these people.
        tuning: ``k_anonymity`` and ``recent_days`` are read.
    """
    people = listed.select("person_key").unique()
    bought = (
        interactions.filter(pl.col("purchases") > 0)
        .join(people, on="person_key", how="semi")
        .select("person_key", "product_id", pl.col("purchases").alias("_days"), pl.col("last_purchase_date"))
    )
    of_category = (
        bought.join(catalog.select("product_id", "category"), on="product_id")
        .group_by("person_key", "category")
        .agg(pl.len().cast(pl.Int64).alias("_of_category"))
    )
    facts = (
        listed.join(bought, on=["person_key", "product_id"], how="left")
        .join(of_category, on=["person_key", "category"], how="left")
        .join(item_stats.select("product_id", pl.col("recent_buyers").alias("_buyers")), on="product_id", how="left")
    )
    month = pl.col("last_purchase_date").dt.month().replace_strict(dict(enumerate(_MONTHS, 1)), return_dtype=pl.String)
    days, similar, of, buyers = (pl.col(name) for name in ("_days", "similar_owned", "_of_category", "_buyers"))
    texts = {
        "bought_before": pl.when(days == 1)
        .then(pl.format("You bought this once, in {}", month))
        .otherwise(pl.format("You bought this {} times, last in {}", days, month)),
        "similar_owned": pl.format("Similar to {} {} in your purchase history", similar, _plural(similar, "item")),
        "category_owned": pl.format(
            "You bought {} {} of {}", of, _plural(of, "product"), last_category(pl.col("category"))
        ),
        "popular": popular_text(buyers, tuning.recent_days),
        "taste": pl.lit("Picked from what people with your taste buy"),
    }
    counts = {"bought_before": days, "similar_owned": similar, "category_owned": of, "popular": buyers}
    holds = {code: count > 0 for code, count in counts.items()} | {
        "popular": buyers >= tuning.k_anonymity,
        "taste": pl.lit(True),
    }
    code = pl.coalesce(*(pl.when(holds[code]).then(pl.lit(code)) for code in REASONS))
    reason = pl.coalesce(*(pl.when(pl.col("reason_code") == code).then(texts[code]) for code in REASONS))
    count = pl.coalesce(*(pl.when(pl.col("reason_code") == code).then(counts[code]) for code in counts))
    return (
        facts.with_columns(code.alias("reason_code"))
        .with_columns(count.cast(pl.Int64).alias("reason_count"), reason.alias("reason"))
        .drop("_days", "last_purchase_date", "_of_category", "_buyers")
    )


def _plural(count: pl.Expr, word: str) -> pl.Expr:
    return pl.when(count == 1).then(pl.lit(word)).otherwise(pl.lit(word + "s"))
