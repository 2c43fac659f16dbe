"""What is known of a person at the end of a day, as the planner's models see it.

Two frames: of each person, and of each person and category that they might go for next. Both are made alike for the
days that the planner learns from, for the days it is tested on, and for tomorrow.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from recsys_assets.logic.baskets import Shopping
from recsys_assets.logic.copy_facts import INTENTS

FADE_DAYS = 60.0  # half-life of what was bought
LATELY_DAYS = 14  # of what was looked at
OWN, SHOPWIDE, AFTER = 24, 16, 5  # categories that are considered: of the person's own, of all, after their last one
_HABIT_DAYS = 90
_PRIOR = 2.0  # baskets' worth of the shop's habits in a person's
_SOME = 0.5
PERSON_FEATURES = (
    "_baskets", "_since", "_gap", "_overdue", "_lines", "_price", "_price_low", "_price_high", "_tier", "_looked",
    "_carted", "_open_cart", "_look_days", "_look_since", "_look_gift", "_look_known", "_look_tier", "_season_sin",
    "_season_cos", "_quick", "_repeats", "_new_rate", "_headroom",
    *(f"_was_{intent}" for intent in INTENTS), *(f"_last_{intent}" for intent in INTENTS),
)  # fmt: skip
CATEGORY_FEATURES = (
    "_main_share", "_faded_share", "_last_main", "_shop_share", "_lift", "_bought", "_category_since",
    "_category_overdue", "_spend_share", "_looked_share", "_carted_share", "_own_baskets",
)  # fmt: skip


@dataclass(frozen=True)
class States:
    """As of one day: ``people`` one row each with `PERSON_FEATURES`; ``categories`` one row per person and category.

    ``shares`` is how often each category is the main one in the shop, which is all that is known of somebody new.
    """

    as_of: date
    people: pl.DataFrame
    categories: pl.DataFrame
    shares: pl.DataFrame


@dataclass(frozen=True)
class Habits:
    """What the whole shop does: ``shares`` of categories as main ones, commonest first, and of intents."""

    shares: pl.DataFrame
    intents: dict[str, float]

    @classmethod
    def of(cls, baskets: pl.DataFrame) -> "Habits":
        """Of baskets with their intents."""
        size = max(1, baskets.height)
        shares = (
            baskets.group_by("category")
            .agg((pl.len() / size).alias("_share"))
            .sort("_share", "category", descending=[True, False])
        )
        return cls(shares, {intent: int((baskets["intent"] == intent).sum()) / size for intent in INTENTS})


def states(
    shopping: Shopping, baskets: pl.DataFrame, goes_with: pl.DataFrame, as_of: date, habits: Habits | None = None
) -> States:
    """Everybody who did anything up to ``as_of``, ordered by person and category.

    Args:
        shopping: what was known at the end of ``as_of``, no later.
        baskets: the same baskets with their intents (`logic.intents.labelled`).
        goes_with: `logic.intents.companions`.
        as_of: the day.
        habits: of the whole shop, where ``shopping`` is that of some of its people; else of these.
    """
    habits = habits or Habits.of(baskets)
    shares = habits.shares
    looks = shopping.looks.filter((pl.lit(as_of) - pl.col("event_date")).dt.total_days() < LATELY_DAYS)
    people = _people(shopping, baskets, looks, habits, as_of)
    categories = _categories(shopping, looks, goes_with, shares, people, as_of)
    return States(as_of, *(as_texts(frame) for frame in (people, categories, shares)))


def as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with texts instead of enumerations (`logic.baskets.Shopping`)."""
    return frame.cast({pl.Enum: pl.String})


def _people(
    shopping: Shopping, baskets: pl.DataFrame, looks: pl.DataFrame, habits: Habits, as_of: date
) -> pl.DataFrame:
    everybody = (
        pl.concat([shopping.baskets.select("person_key"), shopping.looks.select("person_key")])
        .unique()
        .sort("person_key")
    )
    ordered = baskets.sort("person_key", "_time", "_order")
    gap = pl.col("event_date").diff().dt.total_days()
    bought = ordered.group_by("person_key", maintain_order=True).agg(
        pl.len().alias("_baskets"),
        pl.col("event_date").last().alias("_last"),
        gap.mean().alias("_gap"),
        (pl.col("trigger") == "post-purchase").mean().alias("_quick"),
        pl.col("intent").last().alias("_last_intent"),
        *(
            ((pl.col("intent") == intent).sum() + _PRIOR * share).truediv(pl.len() + _PRIOR).alias(f"_was_{intent}")
            for intent, share in habits.intents.items()
        ),
    )
    log_price = pl.col("price_micros").log()
    lines = shopping.lines.group_by("person_key").agg(
        pl.len().alias("_lines"),
        log_price.median().alias("_price"),
        log_price.quantile(0.1, "linear").alias("_price_low"),
        log_price.quantile(0.9, "linear").alias("_price_high"),
        pl.col("_tier").mean(),
    )
    lately = _lately(shopping, as_of)
    known = shopping.lines.select("person_key", "product_id").unique().with_columns(_known=pl.lit(True))
    after = shopping.lines.group_by("person_key", "product_id").agg(pl.col("_time").max().alias("_bought_at"))
    looked = (
        looks.join(known, on=["person_key", "product_id"], how="left")
        .join(after, on=["person_key", "product_id"], how="left")
        .group_by("person_key")
        .agg(
            pl.len().alias("_looked"),
            pl.col("_cart").sum().alias("_carted"),
            _lies_in_cart().sum().alias("_open_cart"),
            pl.col("event_date").n_unique().alias("_look_days"),
            pl.col("event_date").max().alias("_last_look"),
            pl.col("_gift").mean().alias("_look_gift"),
            pl.col("_known").fill_null(False).mean().alias("_look_known"),
            pl.col("_tier").mean().alias("_look_tier"),
        )
    )
    turn = 2 * 3.141592653589793 * as_of.timetuple().tm_yday / 365.25
    made = everybody
    for part in (bought, lines, lately, looked):
        made = made.join(part, on="person_key", how="left", maintain_order="left")
    since = (pl.lit(as_of) - pl.col("_last")).dt.total_days()
    return made.with_columns(
        since.alias("_since"),
        (since / pl.col("_gap").clip(lower_bound=1)).alias("_overdue"),
        (pl.lit(as_of) - pl.col("_last_look")).dt.total_days().alias("_look_since"),
        (pl.col("_look_tier") - pl.col("_tier")).alias("_look_tier"),
        pl.col("_baskets", "_lines", "_looked", "_carted", "_open_cart", "_look_days").fill_null(0),
        *((pl.col("_last_intent") == intent).cast(pl.Float64).alias(f"_last_{intent}") for intent in INTENTS),
        pl.lit(turn).sin().alias("_season_sin"),
        pl.lit(turn).cos().alias("_season_cos"),
    ).select("person_key", *(pl.col(name).cast(pl.Float64) for name in PERSON_FEATURES))


def _lies_in_cart() -> pl.Expr:
    bought = (pl.col("_bought_at") >= pl.col("_time")).fill_null(False)
    return pl.col("_cart") & ~bought & pl.col("_removed").is_null()


def _lately(shopping: Shopping, as_of: date) -> pl.DataFrame:
    """Of each person: how much of what they lately bought was bought before, or is of a new category; room to go up."""
    lately = (pl.lit(as_of) - pl.col("event_date")).dt.total_days() < _HABIT_DAYS
    first = shopping.lines.select(
        "person_key",
        lately.alias("_lately"),
        pl.struct("person_key", "product_id").is_first_distinct().alias("_first"),
        pl.struct("person_key", "category").is_first_distinct().alias("_new"),
    )
    highest = shopping.lines.group_by("person_key", "category").agg(pl.col("_tier").max())
    return (
        first.group_by("person_key")
        .agg(
            (~pl.col("_first")).filter("_lately").mean().alias("_repeats"),
            pl.col("_new").filter("_lately").mean().alias("_new_rate"),
        )
        .join(
            highest.group_by("person_key").agg((pl.col("_tier") < 2).mean().alias("_headroom")),
            on="person_key",
            how="left",
        )
    )


def _categories(
    shopping: Shopping,
    looks: pl.DataFrame,
    goes_with: pl.DataFrame,
    shares: pl.DataFrame,
    people: pl.DataFrame,
    as_of: date,
) -> pl.DataFrame:
    both = ["person_key", "category"]
    age = (pl.lit(as_of) - pl.col("event_date")).dt.total_days()
    faded = (-age / FADE_DAYS * 0.6931471805599453).exp()
    within = shopping.lines.group_by("person_key", "_order", "category").agg(
        pl.col("spend_micros").sum(), pl.col("event_date").min()
    )
    spent = pl.col("spend_micros").sum()
    own = (
        within.with_columns(faded.alias("_weight"))
        .group_by(both)
        .agg(
            pl.col("_weight").sort().sum().alias("_faded"),  # in one order, so that the sum is the same every time
            pl.len().alias("_times"),
            age.min().alias("_category_since"),
            ((age.max() - age.min()) / (pl.len() - 1).clip(lower_bound=1)).alias("_category_gap"),
            spent.alias("_spent"),
        )
        .sort(both)
        .with_columns(
            (pl.col("_faded") / pl.col("_faded").sum().over("person_key")).alias("_faded_share"),
            (pl.col("_spent") / pl.col("_spent").sum().over("person_key")).fill_nan(0.0).alias("_spend_share"),
        )
    )
    mains = shopping.baskets.group_by(both).agg(pl.len().alias("_mains"))
    last = shopping.baskets.sort("person_key", "_time", "_order").group_by("person_key").agg(pl.col("category").last())
    seen = looks.group_by(both).agg(pl.len().alias("_looked_at"), pl.col("_cart").sum().alias("_carted_at"))
    after = (
        last.rename({"category": "_with"})
        .join(goes_with, on="_with")
        .sort("person_key", "_lift", "category", descending=[False, True, False])
        .group_by("person_key", maintain_order=True)
        .head(AFTER)
        .select(both)
    )
    top_own = own.sort("person_key", "_faded", "category", descending=[False, True, False]).group_by(
        "person_key", maintain_order=True
    ).head(OWN).select(both)  # fmt: skip
    everywhere = people.select("person_key").join(shares.head(SHOPWIDE).select("category"), how="cross")
    pairs = pl.concat([top_own, everywhere, after, seen.select(both)]).unique().sort(both)
    made = pairs
    for part in (own, mains, seen):
        made = made.join(part, on=both, how="left", maintain_order="left")
    made = (
        made.join(shares, on="category", how="left", maintain_order="left")
        .join(last.rename({"category": "_with"}), on="person_key", how="left", maintain_order="left")
        .join(goes_with, on=["_with", "category"], how="left", maintain_order="left")
        .join(people.select("person_key", "_baskets", "_looked", "_carted"), on="person_key", how="left",
              maintain_order="left")
    )  # fmt: skip
    share = pl.col("_share").fill_null(0.0)
    return made.with_columns(
        ((pl.col("_mains").fill_null(0) + _SOME * share) / (pl.col("_baskets") + _SOME)).alias("_main_share"),
        pl.col("_faded_share", "_spend_share").fill_null(0.0),
        (pl.col("_with") == pl.col("category")).fill_null(False).alias("_last_main"),
        share.alias("_shop_share"),
        pl.col("_lift").fill_null(0.0),
        pl.col("_times").fill_null(0).alias("_bought"),
        (pl.col("_category_since") / pl.when(pl.col("_times") > 1).then(pl.col("_category_gap").clip(lower_bound=1)))
        .alias("_category_overdue"),
        (pl.col("_looked_at").fill_null(0) / pl.col("_looked").clip(lower_bound=1)).alias("_looked_share"),
        (pl.col("_carted_at").fill_null(0) / pl.col("_carted").clip(lower_bound=1)).alias("_carted_share"),
        pl.col("_baskets").alias("_own_baskets"),
    ).select(*both, *(pl.col(name).cast(pl.Float64) for name in CATEGORY_FEATURES))  # fmt: skip
