"""Level 2: from candidates to the published row and the served list."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from recsys_assets.logic.choices import Choices, Curve
from recsys_assets.logic.reasons import with_reasons
from recsys_assets.tables import LISTS
from recsys_assets.tuning import Tuning


def rank(
    candidates: pl.DataFrame,
    catalog: pl.DataFrame,
    item_stats: pl.DataFrame,
    interactions: pl.DataFrame,
    *,
    choices: Choices,
    tuning: Tuning,
) -> pl.DataFrame:
    """Table LISTS, ordered by person and rank, for the people of ``candidates``.

    ``position`` numbers the served list from 1: the best ``served_list_size`` in rank order, except that the last
    purchased ones give way until ``served_new_at_least`` products are new (or no new ones are left).

    Args:
        candidates: table CANDIDATES, whole people.
        catalog: table CATALOG of the same day; products that are not in it, or not recommendable, are left out.
        item_stats: table ITEM_STATS of the same day.
        interactions: table INTERACTIONS of the same day, at least of these people.
        choices: what validation chose; its calibration gives ``confidence``.
        tuning: ``served_*``, ``k_anonymity``, ``recent_days`` are read.
    """
    known = catalog.filter(pl.col("not_recommendable").is_null()).select(
        "product_id", pl.col("unit_price_micros").alias("price_micros"), "category"
    )
    listed = candidates.join(known, on="product_id")
    # Level 2's own rules (segments, upsell, cycles, caps) change `score` here, before the one ordering below.
    ordered = listed.sort("person_key", "score", "product_id", descending=[False, True, False])
    ranked = ordered.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("person_key").alias("rank"))
    placed = _with_positions(_with_confidence(ranked, choices), tuning)
    return LISTS.conform(with_reasons(placed, catalog, item_stats, interactions, tuning).sort("person_key", "rank"))


def _with_positions(ranked: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    new = pl.col("purchased").not_()
    new_wanted = pl.min_horizontal(pl.lit(tuning.served_new_at_least), new.sum().over("person_key"))
    repeats_most = tuning.served_list_size - new_wanted
    # Repeats beyond what leaves room for the new ones are out; then the first `served_list_size` are served.
    fits = new | (pl.col("purchased").cum_sum().over("person_key") <= repeats_most)
    place = fits.cum_sum().over("person_key").cast(pl.Int64)
    return ranked.with_columns(fits.alias("_fits"), place.alias("_place")).with_columns(
        pl.when(pl.col("_fits") & (pl.col("_place") <= tuning.served_list_size)).then("_place").alias("position")
    )


def _with_confidence(ranked: pl.DataFrame, choices: Choices) -> pl.DataFrame:
    scores = ranked["score"].to_numpy().astype(np.float64)
    purchased = ranked["purchased"].to_numpy()
    confidence = np.where(
        purchased, _on_curve(scores, choices.repeat_calibration), _on_curve(scores, choices.new_calibration)
    )
    return ranked.with_columns(pl.Series("confidence", np.round(confidence, 6), dtype=pl.Float32, nan_to_null=True))


def _on_curve(scores: np.ndarray[Any, np.dtype[np.float64]], curve: Curve) -> np.ndarray[Any, np.dtype[np.float64]]:
    xs, ys = curve
    return np.interp(scores, xs, ys) if xs else np.full(len(scores), np.nan)
