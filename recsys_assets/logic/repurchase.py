"""How long people take until they buy a product again."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.compiled import compiled
from recsys_assets.logic.interactions import purchase_days
from recsys_assets.tables import REPURCHASE_CYCLES
from recsys_assets.tuning import Tuning

Counts = npt.NDArray[np.int64]
Fractions = npt.NDArray[np.float64]
SOURCES = ("item", "category", "default")

_ROUNDS = 400
_CLOSE = 1e-5
_FLATTEST, _STEEPEST = 0.05, 500.0  # shapes: 1 is pure chance; at 500 a cycle of a year is exact to a day
# Twice the gain in log-likelihood above which some people are taken not to come back: chance passes it once in 20
# (chi-square, 1 degree of freedom).
_SURELY = 3.84
# Nobody can tell who never comes back before those who do have come (sufficient follow-up: Maller and Zhou 1992): at
# most this share of the returns may fall into the last third of the lengths. Without it, chance visits every 90 days
# that were seen for 120 were fitted as 54 days and many people who stay away.
_LATE = 0.1
_TINY = 1e-300


def repurchase_cycles(
    events: pl.DataFrame | pl.LazyFrame, catalog: pl.DataFrame, as_of: date, tuning: Tuning
) -> pl.DataFrame:
    """Table REPURCHASE_CYCLES, ordered by product: the mean days between purchases of it by people who come back.

    A product's own cycle holds where ``repurchase_cycle.intervals_at_least`` intervals were seen; else that of its
    category (the same path, its products' intervals together); else ``default_cycle_days``.

    Intervals that ``as_of`` cuts off are censored, not left out: of a cycle of 90 days, a window of 120 sees only the
    short ones end. Interval lengths follow a Weibull distribution (regular refills and chance visits are both of its
    kind), fitted by maximum likelihood to ended and cut-off intervals; where that is surely likelier, a share of the
    people never comes back (mixture cure model: Boag 1949; Farewell 1982), as most who try a product do not.
    Days are counted per length before anything is fitted, so the result is the same in any order of rows.

    Args:
        events: table CLEAN_EVENTS; days outside the window are ignored.
        catalog: table CATALOG of the day: which products get a row, and their categories.
        as_of: last day of the window.
        tuning: ``window_days`` and ``repurchase_cycle`` are read.
    """
    knobs = tuning.repurchase_cycle
    products = catalog.select("product_id", "category")
    lengths = _lengths(purchase_days(events, as_of, tuning), as_of).join(products, on="product_id")
    known = [
        _fitted(lengths.rename({by: "_of"}), knobs.intervals_at_least, tuning.window_days).rename(
            {"_of": by, "_cycle": f"_{by}"}
        )
        for by in ("product_id", "category")
    ]
    ended = lengths.group_by("product_id").agg(pl.col("_ended").sum().alias("intervals"))
    made = products.join(ended, on="product_id", how="left")
    for cycles in known:
        made = made.join(cycles, on=cycles.columns[0], how="left")
    own, of_category = pl.col("_product_id"), pl.col("_category")
    fallen = pl.when(of_category.is_not_null()).then(pl.lit("category")).otherwise(pl.lit("default"))
    source = pl.when(own.is_not_null()).then(pl.lit("item")).otherwise(fallen)
    return REPURCHASE_CYCLES.conform(
        made.with_columns(
            pl.coalesce(own, of_category, pl.lit(float(knobs.default_cycle_days))).alias("cycle_days"),
            pl.col("intervals").fill_null(0),
            source.alias("source"),
        ).sort("product_id")
    )


def _lengths(days: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """One row per product and length in days: how many intervals of that length ended, and how many were cut off."""
    pair = ["person_key", "product_id"]
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in pair).fill_null(value=False)
    following = pl.when(again).then(pl.col("event_date").shift(-1)).otherwise(as_of)
    return (
        days.with_columns(again.alias("_again"), following.alias("_until"))
        .with_columns((pl.col("_until") - pl.col("event_date")).dt.total_days().alias("_days"))
        .filter(pl.col("_days") > 0)
        .group_by("product_id", "_days")
        .agg(
            pl.col("_again").sum().cast(pl.Int64).alias("_ended"),
            (~pl.col("_again")).sum().cast(pl.Int64).alias("_cut"),
        )
        .with_columns(pl.col("product_id").cast(pl.String))
    )


def _fitted(lengths: pl.DataFrame, at_least: int, longest: int) -> pl.DataFrame:
    """``_of`` and ``_cycle``, one row per group with enough intervals that ended."""
    together = (
        lengths.drop_nulls("_of")
        .group_by("_of", "_days")
        .agg(pl.col("_ended", "_cut").sum())
        .filter(pl.col("_ended").sum().over("_of") >= at_least)
        .sort("_of", "_days")
    )
    names = together["_of"].unique(maintain_order=True)
    starts = together["_of"].rle()
    indptr = np.concatenate([[0], np.cumsum(starts.struct.field("len").to_numpy())]).astype(np.int64)
    means = _mean_days(
        indptr,
        together["_days"].to_numpy().astype(np.int64),
        together["_ended"].to_numpy(),
        together["_cut"].to_numpy(),
    )
    # A mean beyond what was looked at is only as good as the curve's shape; no cycle is longer than the window.
    return pl.DataFrame({"_of": names, "_cycle": np.round(np.clip(means, 1.0, longest), 1)})


@compiled
def _mean_days(indptr: Counts, days: Counts, ended: Counts, cut: Counts) -> npt.NDArray[np.float64]:
    """Per group the fitted mean; group g has the entries ``indptr[g]:indptr[g + 1]``."""
    means = np.empty(len(indptr) - 1)
    for group in range(len(means)):
        start, stop = indptr[group], indptr[group + 1]
        means[group] = _mean(days[start:stop], ended[start:stop], cut[start:stop])
    return means


@compiled
def _mean(days: Counts, ended: Counts, cut: Counts) -> float:
    logs = np.log(days.astype(np.float64))
    seen, open_ended = ended.astype(np.float64), cut.astype(np.float64)
    shape, scale = _weibull(logs, seen, open_ended, 1.0)
    everybody = _likelihood(logs, seen, open_ended, shape, scale, 1.0)
    mean = _mean_of(shape, scale)
    if open_ended.sum() == 0:
        return mean
    # Expectation maximisation: what share of each cut-off interval belongs to somebody who will come back.
    share = seen.sum() / (seen.sum() + open_ended.sum())
    shape, scale = _weibull(logs, seen, 0 * open_ended, shape)
    last = 0.0
    for _ in range(_ROUNDS):
        waiting = share * np.exp(-np.exp(shape * (logs - scale)))
        expected = open_ended * waiting / np.maximum(1 - share + waiting, _TINY)
        shape, scale = _weibull(logs, seen, expected, shape)
        share = (seen.sum() + expected.sum()) / (seen.sum() + open_ended.sum())
        now = _mean_of(shape, scale)
        if abs(now - last) < _CLOSE * now:
            break
        last = now
    some = _likelihood(logs, seen, open_ended, shape, scale, share)
    surely = 2 * (some - everybody) > _SURELY and _late(days, seen, open_ended) < _LATE
    return _mean_of(shape, scale) if surely else mean


@compiled
def _late(days: Counts, seen: Fractions, censored: Fractions) -> float:
    """Share of the returns after two thirds of the longest length (Kaplan and Meier 1958)."""
    staying, early = 1.0, 1.0
    at_risk = seen.sum() + censored.sum()
    for place in range(len(days)):
        staying *= 1 - seen[place] / at_risk
        at_risk -= seen[place] + censored[place]
        if 3 * days[place] <= 2 * days[-1]:
            early = staying
    return (early - staying) / (1 - staying)


@compiled
def _weibull(logs: Fractions, seen: Fractions, censored: Fractions, shape: float) -> tuple[float, float]:
    """Shape and logarithm of the scale: the root of the likelihood's slope by shape, which only ever rises.

    ``shape`` is where the search begins. A loop over the lengths: as arrays, each step would make six of them.
    """
    events = seen.sum()
    middle = (seen * logs).sum() / events
    top = logs[seen + censored > 0].max()
    low, high = _FLATTEST, _STEEPEST
    for _step in range(60):
        _, first, second = _moments(logs, seen, censored, shape, top)
        slope = first - 1 / shape - middle
        if slope > 0:
            high = shape
        else:
            low = shape
        step = shape - slope / (second - first * first + 1 / (shape * shape))
        closer = step if low < step < high else (low * high) ** 0.5
        if abs(closer - shape) < 1e-9 * shape:
            break
        shape = closer
    total, _, _ = _moments(logs, seen, censored, shape, top)
    return shape, top + math.log(total / events) / shape


@compiled
def _moments(
    logs: Fractions, seen: Fractions, censored: Fractions, shape: float, top: float
) -> tuple[float, float, float]:
    """Sum of the weights of powers, and the weighted mean and mean square of the logarithms."""
    total, first, second = 0.0, 0.0, 0.0
    for place in range(len(logs)):
        # What weighs nothing may lie above the top, and would overflow.
        power = (seen[place] + censored[place]) * math.exp(shape * min(logs[place] - top, 0.0))
        total += power
        first += power * logs[place]
        second += power * logs[place] * logs[place]
    return total, first / total, second / total


@compiled
def _likelihood(
    logs: Fractions, seen: Fractions, censored: Fractions, shape: float, scale: float, share: float
) -> float:
    passed = np.exp(np.minimum(shape * (logs - scale), 700.0))
    ending = math.log(share * shape) + shape * (logs - scale) - logs - passed
    return float(
        (seen * ending).sum() + (censored * np.log(np.maximum(1 - share + share * np.exp(-passed), _TINY))).sum()
    )


@compiled
def _mean_of(shape: float, scale: float) -> float:
    return math.exp(scale + math.lgamma(1 + 1 / shape))
