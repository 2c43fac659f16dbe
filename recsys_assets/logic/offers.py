"""A plan and the products at hand → the few that are offered for it: by night for everybody, in the API for one person.

How well a product fits is a product of shares, each 1 where nothing speaks against it: a product that fails one part
badly is not made up for by the others, as a sum would. What each part costs stands in the table below.
"""

from collections.abc import Sequence
from functools import reduce
from operator import mul

import polars as pl

from recsys_assets.logic.plans import TOP
from recsys_assets.logic.variants import family, few_of_each
from recsys_assets.tuning import Tuning

# What a product keeps of its fit. An offer is filled beyond its least number only with products that keep `WORTH` of
# the best one's: hence what is plainly against the plan keeps less than that, and pads short offers only.
FADING = 0.25  # rank ** -FADING: the tenth keeps .56, the fiftieth .38, the thousandth .18: a list's order is a hint,
#                and the plan has to be able to reach its end
OTHER = 0.25  # in none of the plan's categories; the second and third lie between this and 1, by their probability
DEARER = 2.0  # (ceiling / price) ** DEARER: at twice the ceiling a quarter is left, as what is too dear is not bought
BELOW = 1.0  # (price / floor) ** BELOW: at half the floor a half is left: too cheap disappoints, but can be bought
UNPRICED = 0.1  # nobody can say that it fits, and an offer without a price sells badly: behind twice the ceiling
AGAINST = 0.4  # against the intent, or just bought; two of these are worse than another category
SAME_KIND = 0.6  # after a purchase: of a kind that the person has; what goes with it comes first
WORTH = 0.5
SAME_BRAND = 2  # products of a brand, while there are others
_DIGITS = 9  # of the fit, so that what the arithmetic leaves open is settled by the product's id

SCHEMA = pl.Schema(
    {"person_key": pl.String, "place": pl.Int64, "product_id": pl.String, "reason_code": pl.String, "_fit": pl.Float64}
)


def offers(
    plans: pl.DataFrame, candidates: pl.DataFrame, tuning: Tuning, owned: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One row per product offered: ``person_key``, ``place`` from 1, ``product_id``, ``reason_code``, ``_fit``.

    Of each family (``parent_id``) the ``variants_at_most`` products that fit best are asked. ``tuning.offers.least``
    are offered in all, where there are as many, and up to ``most`` that keep `WORTH` of the best one's fit. No brand
    has more than `SAME_BRAND` of them but where there is no other, or the others are too few for the least. Ordered by
    person and place; ties go to the lower product id, so that the order of rows does not matter. Without candidates a
    person has no rows.

    Args:
        plans: one row per person, as in table PLANS: ``person_key``, ``intent``, ``categories``,
            ``category_probabilities``, the bracket's three prices (null: none), ``trigger``.
        candidates: one row per person and product: ``person_key``, ``product_id``, ``rank`` (1 is best), ``category``
            (cut to the plan's depth), ``price_micros``, ``parent_id``, ``brand``, ``name``, ``reason_code``,
            ``purchased``; null: not known. A product that comes twice counts by its better rank.
        tuning: ``offers``, ``variants_at_most`` and ``planner.gift_words``.
        owned: one row per person and ``category`` (cut to the plan's depth) of which they bought something that may be
            no candidate, because repeats are not allowed or because it lies too deep; None: nothing.
    """
    people = _people(plans)
    known = _facts(candidates).join(people, on="person_key", how="inner")
    if known.is_empty():
        return SCHEMA.to_frame()
    scored = known.with_columns(_owns=_owns(known, owned)).select(
        "_person", "product_id", "reason_code", "brand",
        family().alias("_family"),
        _fit(tuning).alias("_fit"),
    )  # fmt: skip
    return (
        _chosen(scored, tuning)
        .join(people.select("_person", "person_key"), on="_person", how="left", maintain_order="left")
        .select(SCHEMA.names())
    )


def _people(plans: pl.DataFrame) -> pl.DataFrame:
    """What the fit asks of a plan, without lists; the bracket is there as a whole, above 0, or not at all."""
    bracket = {name: pl.col(f"price_{name}_micros").cast(pl.Float64) for name in ("low", "middle", "high")}
    whole = pl.all_horizontal(price > 0 for price in bracket.values())
    return plans.sort("person_key").with_row_index("_person").select_seq(
        "_person", "person_key", "intent", "trigger",
        *(pl.when(whole).then(price).alias(f"_{name}") for name, price in bracket.items()),
        *(_at("categories", place).cast(pl.String).alias(f"_category_{place}") for place in range(TOP)),
        *(_share(place).alias(f"_share_{place}") for place in range(TOP)),
    )  # fmt: skip


def _at(column: str, place: int) -> pl.Expr:
    return pl.col(column).list.get(place, null_on_oob=True)


def _share(place: int) -> pl.Expr:
    """What a category of the plan keeps: 1 for the first, `OTHER` for one of no probability."""
    first, own = _at("category_probabilities", 0), _at("category_probabilities", place)
    if place == 0:
        return pl.lit(1.0)
    return OTHER + (1 - OTHER) * pl.when(first > 0).then((own / first).clip(0.0, 1.0)).otherwise(0.0).fill_null(0.0)


def _facts(candidates: pl.DataFrame) -> pl.DataFrame:
    """Candidates as the fit asks them: '' is not known, nor is a price of 0. A slice's columns may be all null."""
    texts = ("category", "parent_id", "brand")
    prices = pl.col("price_micros").cast(pl.Float64)
    return candidates.select_seq(
        "person_key", "product_id", pl.col("reason_code", "name").cast(pl.String),
        *(pl.col(name).cast(pl.String).replace("", None) for name in texts),
        pl.col("rank").cast(pl.Float64).clip(lower_bound=1.0).alias("_rank"),
        pl.when(prices > 0).then(prices).alias("_price"),
        pl.col("purchased").cast(pl.Boolean).fill_null(False).alias("_bought"),
    )  # fmt: skip


def _owns(known: pl.DataFrame, owned: pl.DataFrame | None) -> pl.Series:
    """Whether the person bought a product of the candidate's category; asked only where the plan cares."""
    key = ["person_key", "category"]
    cares = (pl.col("intent") == "accessory") | (pl.col("trigger") == "post-purchase")
    parts = [known.filter(cares, "_bought").select(key), *([] if owned is None else [owned.select(key)])]
    of_people = pl.concat(parts).drop_nulls().unique().with_columns(_owns=True)
    return known.select(key).join(of_people, on=key, how="left", maintain_order="left")["_owns"].fill_null(False)


def _fit(tuning: Tuning) -> pl.Expr:
    """0 to 1, rounded."""
    intent, trigger, price, bought = pl.col("intent"), pl.col("trigger"), pl.col("_price"), pl.col("_bought")
    parts = [
        pl.col("_rank") ** -FADING,
        _category(),
        # 1 inside the bracket, and where there is none; the log of the price's distance to it counts.
        pl.when(price.is_null()).then(UNPRICED)
        .when(price > pl.col("_high")).then((pl.col("_high") / price) ** DEARER)
        .when(price < pl.col("_low")).then((price / pl.col("_low")) ** BELOW)
        .otherwise(1.0),
        # What is bought again was bought before; all else is looked for because it was not.
        _unless((intent == "replenish") != bought),
        # By intent: an upgrade starts at the middle (its ceiling is the bracket's), a present says that it is one, an
        # accessory is of another kind than what it goes with.
        _unless(((intent == "upgrade") & (price < pl.col("_middle"))).fill_null(False)),
        _unless((intent == "gift") & ~_is_gift(intent == "gift", tuning.planner.gift_words)),
        _unless((intent == "accessory") & pl.col("_owns")),
        # Beside a full cart small additions are taken: half the fit at twice the middle. Less steep than `AGAINST`, so
        # that an upgrade, which asks for the opposite, stays one.
        pl.when(trigger == "in-cart").then((pl.col("_middle") / price).clip(upper_bound=1.0)).otherwise(1.0)
        .fill_null(1.0),
        # After a purchase: what goes with it. Who replenishes is spared: what was bought a moment ago is off their
        # list by its repurchase cycle, and the rest of the list is what they are after.
        pl.when((trigger != "post-purchase") | (intent == "replenish")).then(1.0)
        .when(bought).then(AGAINST)
        .when("_owns").then(SAME_KIND)
        .otherwise(1.0),
    ]  # fmt: skip
    return reduce(mul, parts).round(_DIGITS)


def _unless(against: pl.Expr) -> pl.Expr:
    return pl.when(against).then(AGAINST).otherwise(1.0)


def _category() -> pl.Expr:
    shares = (
        pl.when(pl.col("category") == pl.col(f"_category_{place}")).then(pl.col(f"_share_{place}"))
        for place in range(TOP)
    )
    # A plan without categories has no first one.
    return pl.coalesce(pl.when(pl.col("_category_0").is_null()).then(1.0), *shares, pl.lit(OTHER))


def _is_gift(asked: pl.Expr, words: Sequence[str]) -> pl.Expr:
    """Whether one of the words stands in the name or category, as a word; read only where it is ``asked``."""
    if not words:
        return pl.lit(True)
    pattern = rf"(?i)(?:^|\P{{L}})(?:{'|'.join(pl.escape_regex(word) for word in words)})(?:\P{{L}}|$)"
    said = (pl.when(asked).then(pl.col(name)).str.contains(pattern).fill_null(False) for name in ("name", "category"))
    return pl.any_horizontal(said)


def _chosen(scored: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    """Variants and brands capped, then the first ones."""
    least, most = tuning.offers.least, tuning.offers.most
    best, down = ["_person", "_fit", "product_id", "reason_code"], [False, True, False, False]
    rest = few_of_each(scored.sort(best, descending=down), "_person", tuning.variants_at_most)
    # Brands in rounds, as counting each brand of each person takes four times as long; nothing of a round that comes
    # behind `most` others of it can be offered.
    first = pl.int_range(pl.len()).over("_person") < most
    rounds = []
    for _ in range(SAME_BRAND):
        free = rest.select(pl.col("brand").is_null() | pl.struct("_person", "brand").is_first_distinct()).to_series()
        rounds.append(rest.filter(free).filter(first).with_columns(_crowded=False))
        rest = rest.filter(~free)
    queue = pl.concat([*rounds, rest.filter(first).with_columns(_crowded=True)]).sort(
        "_person", "_crowded", *best[1:], descending=[False, False, *down[1:]]
    )
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("_person")
    worth = pl.col("_fit") >= WORTH * pl.col("_fit").max().over("_person")
    # Where no more than one brand's are free of the cap, there is no other brand, and nothing to make room for.
    alone = (~pl.col("_crowded")).sum().over("_person") <= SAME_BRAND
    return (
        queue.filter(place <= most, (place <= least) | (worth & (~pl.col("_crowded") | alone)))
        .sort(best, descending=down)
        .with_columns(place.alias("place"))
    )
