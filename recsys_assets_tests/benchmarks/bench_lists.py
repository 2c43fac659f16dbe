"""Full lists per second: Level 1 (all members) and Level 2 (rules, reasons, places), of 40,000 products.

Beside them bare ``implicit`` top-K of ALS alone, for the same people: it gives ids and one score. A made shop, because
the size is what is measured: everybody bought some sixty products, most of them of their own taste.

Run: ``python -m recsys_assets_tests.benchmarks.bench_lists [--people 4000] [--threads 0]``
"""

import argparse
import resource
import time
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl
from implicit.als import AlternatingLeastSquares

from recsys_assets.logic.choices import EVERYBODY, Choices
from recsys_assets.logic.ranking import Ranking
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions, one_blas_thread, tastes
from recsys_assets.models.blend import Blend
from recsys_assets.models.candidates import candidates, picked
from recsys_assets.models.fused import Mask
from recsys_assets.models.learned import SCORE, Learned
from recsys_assets.models.ranker import Ranker
from recsys_assets.models.top import block_size
from recsys_assets.models.traits import Traits, described
from recsys_assets.tables import CATALOG, INTERACTIONS, ITEM_STATS, MICROS, REPURCHASE_CYCLES, USER_PROFILES, Table
from recsys_assets.tuning import Tuning

AS_OF = date(2024, 12, 31)
PRODUCTS, TASTES, BOUGHT = 40_000, 200, 60
WEIGHTS = {"als": 0.2, "item_cf": 0.1, "linear": 0.3, "popularity": 0.1, "personal": 0.3}


def of(table: Table, columns: Mapping[str, object]) -> pl.DataFrame:
    """A frame of ``table``; columns that are not given are null."""
    made = pl.DataFrame(columns)
    return made.select(
        (pl.col(name) if name in columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in table.columns.items()
    )


def bought(people: int) -> pl.DataFrame:
    """Table INTERACTIONS of a made shop: three quarters of a basket are of the person's taste, and some sell better."""
    random = np.random.default_rng(1)
    place = (random.random((people, BOUGHT)) ** 2 * (PRODUCTS // TASTES)).astype(np.int64)
    own = np.repeat(random.integers(TASTES, size=(people, 1)), BOUGHT, axis=1)
    taste = np.where(random.random((people, BOUGHT)) < 0.75, own, random.integers(TASTES, size=(people, BOUGHT)))
    pairs = np.unique(np.repeat(np.arange(people), BOUGHT) * PRODUCTS + (place * TASTES + taste).ravel())
    person, product = np.divmod(pairs, PRODUCTS)
    days = random.integers(1, 4, size=len(pairs))
    ages = pl.DataFrame({"age": random.integers(365, size=len(pairs))})
    last = ages.select(pl.lit(AS_OF) - pl.duration(days="age")).to_series()
    return of(
        INTERACTIONS,
        {
            "person_key": pl.Series(person).cast(pl.String).str.zfill(32),
            "product_id": pl.Series(product).cast(pl.String).str.zfill(6),
            "weight_micros": 5 * MICROS * days,
            "frequency_micros": MICROS * days,
            "purchases": days,
            "units": days,
            "spend_micros": days * (1 + product % 20) * MICROS,
            "last_purchase_date": last,
            "last_event_date": pl.Series([AS_OF]).new_from_index(0, len(pairs)),
            "spending_ratio": np.ones(len(pairs)),
            "quantity_ratio": np.ones(len(pairs)),
        },
    )


def facts(seen: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Tables CATALOG, ITEM_STATS, USER_PROFILES and REPURCHASE_CYCLES."""
    product = np.arange(PRODUCTS)
    ids = pl.Series(product).cast(pl.String).str.zfill(6)
    category = pl.select(
        pl.format("Top {} > Kind {}", pl.lit(pl.Series(product % 20)), pl.lit(pl.Series(product % TASTES)))
    )
    recent = pl.col("last_purchase_date") > AS_OF - timedelta(30)
    buyers = (
        pl.DataFrame({"product_id": ids})
        .join(
            seen.group_by("product_id").agg(recent.sum().alias("recent_buyers"), pl.len().alias("buyers")),
            on="product_id",
            how="left",
        )
        .fill_null(0)
        .sort("product_id")
    )
    tiers = pl.Series(np.array(["budget", "mid", "premium"])[product % 3])
    people = seen["person_key"].unique().sort()
    return (
        of(
            CATALOG,
            {"product_id": ids, "category": category.to_series(), "unit_price_micros": (1 + product % 20) * MICROS},
        ),
        of(ITEM_STATS, {name: buyers[name] for name in buyers.columns} | {"price_tier": tiers}),
        of(
            USER_PROFILES,
            {
                "person_key": people,
                "average_item_price_micros": np.full(len(people), 10 * MICROS),
                "spending_segment": np.repeat("average", len(people)),
            },
        ),
        of(
            REPURCHASE_CYCLES,
            {
                "product_id": ids,
                "cycle_days": np.full(PRODUCTS, 30.0),
                "intervals": np.zeros(PRODUCTS, dtype=np.int64),
                "source": np.repeat("default", PRODUCTS),
            },
        ),
    )


def trees(
    blend: Blend, people: Interactions, listable: Mask, traits: Traits, choices: Choices, tuning: Tuning
) -> Choices:
    """The choices with a learned order of the usual size; what it learns does not matter here."""
    some = people.rows(0, block_size(PRODUCTS))
    said = blend.said(some)
    picks = picked(said, blend, some, listable, choices, tuning)
    pool = described(picks.rows, picks.columns, said, some, traits).beside({SCORE: picks.scores})
    ranker = Ranker(trees=tuning.blend.trees, leaves=tuning.blend.leaves, learning_rate=tuning.blend.learning_rate)
    ranker.fit(pool, np.random.default_rng(2).random(len(pool.rows)) < 0.1 * pool.feature(SCORE))
    return Choices(True, 4.0, 1.0, kind="learned", weights=choices.weights, trees=ranker.to_text(), facts=ranker.names)


def measure(
    blend: Blend,
    people: Interactions,
    choices: Choices,
    tables: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame],
    traits: Traits,
    threads: int,
) -> None:
    """Prints lists per second of both levels; of chosen weights, with a learned order over them."""
    tuning, listable = Tuning(), np.ones(PRODUCTS, dtype=np.bool_)
    reorder = None
    if choices.weights:
        choices = trees(blend, people, listable, traits, choices, tuning)
        reorder = Learned.of(choices, traits, threads=1)
    catalog, stats, profiles, cycles, seen = tables
    ranking = Ranking(catalog, stats, seen, profiles, cycles, as_of=AS_OF, choices=choices, tuning=tuning)

    def level_1(some: Interactions) -> pl.DataFrame:
        return pl.concat(candidates(blend, some, listable, choices, tuning, reorder=reorder, threads=threads))

    ranking.rank(level_1(people.rows(0, 2)))  # compiles
    used, started = time.process_time(), time.perf_counter()
    pool = level_1(people)
    middle, between = time.process_time(), time.perf_counter()
    ranking.rank(pool)
    ended, done = time.process_time(), time.perf_counter()
    speed = len(people.person_keys) / (done - started)
    print(
        f"{choices.kind}: {speed:,.0f} full lists/s over {', '.join(blend.names)}; "
        f"Level 1 {between - started:.1f} s ({middle - used:.1f} s of CPU), Level 2 {done - between:.1f} s "
        f"({ended - middle:.1f} s of CPU)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4_000)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    tuning, seen = Tuning(), bought(given.people)
    catalog, stats, profiles, cycles = facts(seen)
    products = np.array(catalog["product_id"].to_list())
    train = Interactions.from_frame(seen, products)
    traits = Traits.of(seen, products, AS_OF, tuning.recent_days, catalog)
    default = Choices(True, 4.0, 1.0)
    weighted = Choices(True, 4.0, 1.0, kind="weights", weights={EVERYBODY: WEIGHTS})
    for choices in (default, weighted):
        blend = make_blend(tuning, choices, threads=1)
        blend.fit(train)
        measure(blend, train, choices, (catalog, stats, profiles, cycles, seen), traits, given.threads)

    matrix = tastes(train, tuning.event_weights.purchase)
    with one_blas_thread():
        bare = AlternatingLeastSquares(factors=tuning.als.factors, iterations=1, random_state=1, use_gpu=False)
        bare.fit(matrix, show_progress=False)
        started = time.perf_counter()
        bare.recommend(np.arange(given.people), matrix, N=tuning.candidate_pool_size, recalculate_user=True)
    print(f"bare implicit top-K: {given.people / (time.perf_counter() - started):,.0f} lists/s")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB at most")


if __name__ == "__main__":
    main()
