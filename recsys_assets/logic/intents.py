"""What a basket was for, and what set it off: the weak labels that the planner is taught with.

No shop writes down why somebody bought something. These rules guess it from what is written down, and all that the
platform says of an intent means these rules. Of a basket its main product is asked (see `logic.baskets`), with what the
same person had bought before; the first rule that holds names the intent:

| intent | the main product … |
| --- | --- |
| `replenish` | was bought before and kept, at most ``replenish_within`` times its repurchase cycle ago |
| `gift` | is a gift by its own words (``gift_words`` in name, category or tags) |
| `upgrade` | is of a category bought before, in a higher price tier than ever before in it |
| `accessory` | is of a category never bought before, that goes with one of this basket or the last (`companions`) |
| `explore` | is none of these |

| trigger | the basket … |
| --- | --- |
| `in-cart` | holds a product that lay in the person's cart since an earlier day, not bought or taken out between |
| `post-purchase` | follows another order within ``post_purchase_days`` |
| `on-page` | is neither |
"""

from datetime import date

import polars as pl

from recsys_assets.logic.baskets import Shopping
from recsys_assets.tuning import Tuning

_BASKET = ["person_key", "_order"]


def companions(shopping: Shopping, tuning: Tuning) -> pl.DataFrame:
    """One row per pair of categories, the second of which is bought with or after the first more often than by chance.

    Counted are baskets by their main category, against each other category in them and the main category of the
    person's basket before. Lift is the count over what independence of the two would give. Pairs seen in fewer baskets
    than the k-anonymity floor, or with a lift below ``planner.accessory_lift``, are left out.

    Returns:
        ``_with``, ``category`` (enumerations, as in ``shopping``), ``_lift``; ordered.
    """
    mains = shopping.baskets.select(*_BASKET, "category")
    within = shopping.lines.select(*_BASKET, pl.col("category").alias("_with")).unique()
    before = shopping.baskets.select(*_BASKET, pl.col("category").shift().over("person_key").alias("_with"))
    pairs = (
        pl.concat([within, before.drop_nulls()])
        .unique()
        .join(mains, on=_BASKET)
        .filter(pl.col("_with") != pl.col("category"), pl.col("_with") != "", pl.col("category") != "")
    )
    count = pl.len().cast(pl.Float64)  # whose products would run over in 32 bits
    counted = pairs.group_by("_with", "category").agg(count.alias("_count"))
    of_with, of_category = (
        pairs.group_by(name).agg(count.alias(f"_of_{place}")) for place, name in enumerate(("_with", "category"))
    )
    return (
        counted.join(of_with, on="_with")
        .join(of_category, on="category")
        .with_columns((pl.col("_count") * pairs.height / (pl.col("_of_0") * pl.col("_of_1"))).alias("_lift"))
        .filter(pl.col("_count") >= tuning.k_anonymity, pl.col("_lift") >= tuning.planner.accessory_lift)
        .select("_with", "category", "_lift")
        .sort("_with", "category")
    )


def labelled(shopping: Shopping, goes_with: pl.DataFrame, cycles: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    """``shopping.baskets`` with ``intent`` and ``trigger``.

    Args:
        shopping: everything that is known of these people; what a basket was for depends on what they had before.
        goes_with: `companions`, of a past that the labels may know.
        cycles: table REPURCHASE_CYCLES.
        tuning: ``planner`` and ``repurchase_cycle.default_cycle_days`` are read.
    """
    knobs = tuning.planner
    default = float(tuning.repurchase_cycle.default_cycle_days)
    lines = shopping.lines.sort("person_key", "_time", "_order")
    # Per line: when this product, and which tiers of this category, had been bought in an earlier basket.
    products = _kept_before(lines)
    tiers = lines.group_by(*_BASKET, "category", maintain_order=True).agg(pl.col("_tier").max(), pl.col("_time").min())
    highest = tiers.select(
        *_BASKET,
        "category",
        pl.col("_tier").cum_max().forward_fill().shift().over("person_key", "category").alias("_highest"),
        (pl.int_range(pl.len()).over("person_key", "category") > 0).alias("_category_before"),
    )
    named = pl.col("product_id").cast(shopping.lines.schema["product_id"], strict=False)
    known_cycles = cycles.select(named, "cycle_days").drop_nulls("product_id")
    baskets = (
        shopping.baskets.join(products, on=[*_BASKET, "product_id"], how="left", maintain_order="left")
        .join(highest, on=[*_BASKET, "category"], how="left", maintain_order="left")
        .join(known_cycles, on="product_id", how="left", maintain_order="left")
        .join(_beside(shopping, goes_with), on=_BASKET, how="left", maintain_order="left")
        .join(_carted_before(shopping), on=_BASKET, how="left", maintain_order="left")
    )
    since = (pl.col("event_date") - pl.col("_product_before")).dt.total_days()
    again = since <= pl.col("cycle_days").fill_null(default) * knobs.replenish_within
    apart = (pl.col("event_date") - pl.col("event_date").shift().over("person_key")).dt.total_days()
    return baskets.with_columns(
        pl.when(again).then(pl.lit("replenish"))
        .when(pl.col("_gift")).then(pl.lit("gift"))
        .when(pl.col("_tier") > pl.col("_highest")).then(pl.lit("upgrade"))
        .when(~pl.col("_category_before") & pl.col("_goes_with").fill_null(False)).then(pl.lit("accessory"))
        .otherwise(pl.lit("explore"))
        .alias("intent"),
        pl.when(pl.col("_lay_in_cart").fill_null(False)).then(pl.lit("in-cart"))
        .when(apart <= knobs.post_purchase_days).then(pl.lit("post-purchase"))
        .otherwise(pl.lit("on-page"))
        .alias("trigger"),
    ).select(*shopping.baskets.columns, "intent", "trigger")  # fmt: skip


def first_after(baskets: pl.DataFrame, day: date, days: int) -> pl.DataFrame:
    """One row per person who bought within ``days`` after ``day``: their first basket of those."""
    after = (pl.col("event_date") - pl.lit(day)).dt.total_days().is_between(1, days)
    return (
        baskets.filter(after)
        .sort("person_key", "_time", "_order")
        .unique("person_key", keep="first", maintain_order=True)
    )


def _kept_before(lines: pl.DataFrame) -> pl.DataFrame:
    """Per line ``_product_before``: when the person had last bought the product, of what had not come back by then."""
    pair = ["person_key", "product_id"]
    numbered = lines.select(*_BASKET, "product_id", "event_date", "_returned_date").with_row_index("_place")
    returned = numbered.filter(pl.col("_returned_date").is_not_null()).select(pair).unique()
    plain = numbered.join(returned, on=pair, how="anti", maintain_order="left").with_columns(
        pl.col("event_date").shift().over(pair).alias("_product_before")
    )
    # Of what was once returned, every earlier purchase is looked at: the last one need not be one that was kept.
    some = numbered.join(returned, on=pair, how="semi")
    earlier = some.select(*pair, "_place", "_returned_date", pl.col("event_date").alias("_product_before"))
    kept = pl.col("_returned_date_right").is_null() | (pl.col("_returned_date_right") > pl.col("event_date"))
    found = (
        some.join(earlier, on=pair)
        .filter(pl.col("_place_right") < pl.col("_place"), kept)
        .group_by("_place")
        .agg(pl.col("_product_before").max())
    )
    both = pl.concat([plain, some.join(found, on="_place", how="left")])
    return both.select(*_BASKET, "product_id", "_product_before")


def _beside(shopping: Shopping, goes_with: pl.DataFrame) -> pl.DataFrame:
    """Whether a basket's main category goes with another one in it, or with the main one of the basket before."""
    mains = shopping.baskets.select(
        *_BASKET, "category", pl.col("category").shift().over("person_key").alias("_before")
    )
    pairs = pl.concat(
        [
            shopping.lines.select(*_BASKET, pl.col("category").alias("_with")).unique(),
            mains.select(*_BASKET, pl.col("_before").alias("_with")).drop_nulls(),
        ]
    ).join(mains.select(*_BASKET, "category"), on=_BASKET)
    found = pairs.join(goes_with, on=["_with", "category"], how="semi").select(_BASKET).unique()
    return found.with_columns(_goes_with=pl.lit(True))


def _carted_before(shopping: Shopping) -> pl.DataFrame:
    """Baskets of which a product was put into the cart on an earlier day, and neither bought nor taken out since."""
    carts = shopping.looks.filter("_cart").select(
        "person_key", "product_id", pl.col("event_date").alias("_carted"), "_time", "_removed"
    )
    if carts.is_empty():
        return shopping.baskets.select(_BASKET).clear().with_columns(_lay_in_cart=pl.lit(True))
    bought = shopping.lines.with_columns(
        pl.col("_time").shift().over("person_key", "product_id").alias("_bought_before")
    )
    lay = (
        bought.join(carts.rename({"_time": "_at"}), on=["person_key", "product_id"])
        .filter(
            pl.col("_carted") < pl.col("event_date"),
            pl.col("_bought_before").is_null() | (pl.col("_at") > pl.col("_bought_before")),
            pl.col("_removed").is_null() | (pl.col("_removed") > pl.col("_time")),
        )
        .select(_BASKET)
        .unique()
    )
    return lay.with_columns(_lay_in_cart=pl.lit(True))
