"""Figures by kind of person: who they are, how much is known of them, and what they gain over what is popular."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.metrics import per_person
from recsys_assets.logic.profiles import user_profiles
from recsys_assets.logic.split import Window
from recsys_assets.logic.steps import steps
from recsys_assets.models.holdout import Holdout, Listed, Past
from recsys_assets.tables import ITEM_STATS, SESSIONS, SLICES, USERS
from recsys_assets.tuning import Tuning

Groups = npt.NDArray[np.str_]
MODELS = ("published", "blend", "popularity", "personal")
METRICS = ("ndcg", "recall")
BASELINE = "popularity"
AFTER = (0, 1, 2, 3)
_LONG = 4  # products from which a history is just long


def groups(held: Holdout, events: pl.DataFrame | pl.LazyFrame, window: Window, tuning: Tuning) -> dict[str, Groups]:
    """Per slice the group of each person of the window, as of its cut-off; '' where there is none.

    ``history``: products of which something is known, 0 to 3 or more. ``user_type`` and ``spending_segment`` are
    those of the profile that the person had at the cut-off: today's knows who came back in the window.
    """
    seen = events.lazy().filter(pl.col("event_date") <= window.cutoff).collect()
    none = (SESSIONS.empty(), ITEM_STATS.empty(), USERS.empty())  # habits of which none is looked at here
    profiles = user_profiles(seen, *none, window.cutoff, tuning, "UTC")
    people = pl.DataFrame({"person_key": held.history.person_keys.tolist()}, schema={"person_key": pl.String})
    known = people.join(profiles, on="person_key", how="left", maintain_order="left")
    lengths = np.diff(held.history.weights.indptr)
    return {
        "history": np.where(lengths < _LONG, lengths.astype(np.str_), "more"),
        "user_type": known["user_type"].fill_null("new").to_numpy().astype(np.str_),
        "spending_segment": known["spending_segment"].fill_null("").to_numpy().astype(np.str_),
    }


def beginners(
    held: Holdout, events: pl.DataFrame | pl.LazyFrame, window: Window, tuning: Tuning, count: int
) -> Holdout:
    """Up to ``evaluation.beginners`` people of the window as they were after their first ``count`` interactions.

    The rest of what they did is forgotten, so that whatever else they bought in the window is new to the platform. An
    interaction is an event on a product with a weight above 0. The products' side has seen them whole.
    """
    there = np.arange(len(held.history.person_keys))
    if len(there) > tuning.evaluation.beginners:
        there = np.sort(np.random.default_rng(tuning.seed).choice(there, tuning.evaluation.beginners, replace=False))
    people = held.history.person_keys[there]
    counting = [name for name, weight in tuning.event_weights.model_dump().items() if weight > 0]
    first = (
        events.lazy()
        .filter(
            pl.col("event_date") <= window.cutoff,
            pl.col("product_id").is_not_null(),
            pl.col("event_type").is_in(counting),
            pl.coalesce("user_key", "anon_key").is_in(people.tolist()),
        )
        # Of one second by what they say: their ids may be keyed, and another home would take others.
        .sort("event_time", "event_type", "product_id", "quantity", "unit_price_micros", "event_id")
        .group_by(pl.coalesce("user_key", "anon_key").alias("_person"), maintain_order=True)
        .head(count)
        .drop("_person")
        .collect()
    )
    known = Past(interactions(first, window.cutoff, tuning), steps(first, window.cutoff, tuning))
    history = replace(known.of(held.train.product_ids, people), features=held.history.features)
    bought = held.bought[there]
    again = np.asarray(history.purchases.sign().multiply(bought).sum(axis=1)).ravel().astype(np.int64)
    total = held.relevant["all"][there]
    return replace(held, history=history, bought=bought, relevant={"all": total, "new": total - again, "repeat": again})


def all_beginners(held: Holdout, events: pl.DataFrame | pl.LazyFrame, window: Window, tuning: Tuning) -> list[Holdout]:
    """`beginners` after each count of `AFTER`; none where ``evaluation.beginners`` is 0."""
    return [beginners(held, events, window, tuning, count) for count in AFTER if tuning.evaluation.beginners]


def figures(
    split: str,
    name: str,
    group: Groups,
    lists: Mapping[tuple[str, str], Listed],
    held: Holdout,
    k: int,
    tuning: Tuning,
) -> pl.DataFrame:
    """Table SLICES of one slice: figures of `MODELS`, and what each gains over popularity, paired.

    Args:
        split: name of the window.
        name: of the slice.
        group: per person; those of '' are left out.
        lists: of the window's people.
        held: the window.
        k: places that count.
        tuning: ``evaluation.bootstrap`` and ``seed`` are read.
    """
    made: list[dict[str, object]] = []
    for one in sorted(set(group.tolist()) - {""}):
        for target in ("all", "new"):
            relevant = held.relevant[target]
            some = (group == one) & (relevant > 0)
            if not some.any():
                continue
            keys = [(model, metric) for model in MODELS for metric in METRICS if (model, target) in lists]
            values = np.stack(
                [per_person(metric, lists[model, target].hits, relevant, k)[some] for model, metric in keys], axis=1
            )
            base = values[:, [keys.index((BASELINE, metric)) for _, metric in keys]]
            means = resampled_means(np.hstack([values, values - base]), tuning.evaluation.bootstrap, tuning.seed)
            low, high = interval(means)
            made += [
                {"split": split, "slice": name, "group": one, "model": model, "target": target, "metric": metric}
                | {"k": k, "value": values[:, i].mean(), "low": low[i], "high": high[i], "people": int(some.sum())}
                | {"gain": (values[:, i] - base[:, i]).mean()}
                | {"gain_low": low[i + len(keys)], "gain_high": high[i + len(keys)]}
                for i, (model, metric) in enumerate(keys)
            ]
    return pl.DataFrame(made, schema=SLICES.columns)
