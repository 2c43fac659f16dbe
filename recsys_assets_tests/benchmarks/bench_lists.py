"""Lists per second of Level 1 and Level 2 beside bare ``implicit`` top-K of ALS alone, for the same people.

The bare one gives ids and one score; ours four members, their blend, repeats, price, confidence, reason and place.

Run: ``python -m recsys_assets_tests.benchmarks.bench_lists``
"""

import time
from datetime import date, timedelta

import numpy as np
import polars as pl
from implicit.als import AlternatingLeastSquares

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.ranking import rank
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions, one_blas_thread, tastes
from recsys_assets.models.candidates import candidates
from recsys_assets.tables import ITEM_STATS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.benchmarks.purchases import catalog, clean_events

AS_OF = date(2017, 12, 31)


def item_stats(events: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    """The columns of table ITEM_STATS that ranking reads; the others are null."""
    recent = pl.col("event_date") > AS_OF - timedelta(days=tuning.recent_days)
    made = events.group_by("product_id").agg(
        pl.col("user_key").filter(recent).n_unique().cast(pl.Int64).alias("recent_buyers")
    )
    missing = [
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in ITEM_STATS.columns.items() if name not in made.columns
    ]
    return ITEM_STATS.conform(made.with_columns(missing))


def main() -> None:
    tuning = Tuning()
    events = clean_events()
    seen = interactions(events, AS_OF, tuning)
    train = Interactions.from_frame(seen)
    products, stats = catalog(events), item_stats(events, tuning)
    choices = Choices(repeats_allowed=True, repeat_weight=4.0, als_regularization=10.0)
    blend = make_blend(tuning, choices)
    blend.fit(train)
    may = products.filter(pl.col("not_recommendable").is_null())["product_id"].to_list()
    listable = np.isin(train.product_ids, np.array(may, dtype=np.str_))
    people = len(train.person_keys)

    started = time.perf_counter()
    for block in candidates(blend, train, listable, choices, tuning):
        rank(block, products, stats, seen, choices=choices, tuning=tuning)
    by_block = time.perf_counter() - started

    started = time.perf_counter()
    level1 = pl.concat(candidates(blend, train, listable, choices, tuning))
    middle = time.perf_counter()
    rank(level1, products, stats, seen, choices=choices, tuning=tuning)
    at_once, second = time.perf_counter() - started, time.perf_counter() - middle

    matrix = tastes(train, tuning.event_weights.purchase)
    with one_blas_thread():
        bare = AlternatingLeastSquares(
            factors=tuning.als.factors, regularization=10.0, iterations=1, random_state=1, use_gpu=False
        )
        bare.fit(matrix, show_progress=False)
        started = time.perf_counter()
        bare.recommend(np.arange(people), matrix, N=tuning.candidate_pool_size, recalculate_user=True)
        alone = time.perf_counter() - started

    print(f"{people} people × {len(train.product_ids)} products, {tuning.candidate_pool_size} each")
    print(f"ours {people / at_once:.0f} lists/s (Level 1 {at_once - second:.1f} s, Level 2 {second:.1f} s)")
    print(f"ours, Level 2 per block {people / by_block:.0f} lists/s")
    print(f"bare implicit top-K {people / alone:.0f} lists/s · ratio {at_once / alone:.1f}")


if __name__ == "__main__":
    main()
