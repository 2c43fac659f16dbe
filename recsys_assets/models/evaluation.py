"""How good the models are, under one global cut-off in time, and what is chosen from it (promise 6).

Validation comes first: models see what lies two holdouts back, and choices are made on the holdout after it. Then
everything is fitted anew up to one holdout back and measured on the last one, on which nothing is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.metrics import METRICS, per_person
from recsys_assets.logic.split import windows
from recsys_assets.models import make_blend
from recsys_assets.models.choosing import Progress, choose, published_lists
from recsys_assets.models.holdout import TARGETS, Holdout, Lists, holdout, list_for_all
from recsys_assets.tables import COMPARISONS, EVALUATION
from recsys_assets.tuning import Tuning

COMPARED = (
    ("blend", "popularity", "new"),
    ("blend", "item_cf", "new"),
    ("blend", "als", "new"),
    ("als", "popularity", "new"),
    ("item_cf", "popularity", "new"),
    ("published", "popularity", "all"),
    ("published", "personal", "all"),
)


@dataclass(frozen=True)
class Evaluation:
    """Tables EVALUATION and COMPARISONS, and what the validation window chose.

    A shop too young for two holdouts has no rows of the splits that it cannot fill, and choices as if unasked.
    """

    metrics: pl.DataFrame
    comparisons: pl.DataFrame
    choices: Choices


def evaluate(
    events: pl.DataFrame | pl.LazyFrame,
    as_of: date,
    recommendable: Sequence[str],
    tuning: Tuning,
    *,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Choices from the validation window, figures of both windows.

    All recommendable products are ranked; people are those with at least one purchase of the target in the window.
    Targets: ``new`` products were not bought before the cut-off (lists leave the bought ones out), ``repeat`` ones were
    (lists hold nothing else), ``all`` is both. Models: every member, ``blend`` (default weights, no repeat weight),
    ``published`` (what the choices would publish), ``random`` and ``ceiling`` (all hits first).

    Args:
        events: table CLEAN_EVENTS, the days up to ``as_of``; later ones are not looked at.
        as_of: last day of the test window.
        recommendable: product ids that may be listed; purchases of others do not count.
        tuning: all knobs.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per step.
    """
    spans = windows(as_of, tuning.evaluation.holdout_days)
    choices = Choices.unchosen(tuning)
    figures: list[tuple[pl.DataFrame, pl.DataFrame]] = []

    validation = holdout(events, spans["validation"], recommendable, tuning)
    if validation is not None:
        choices, lists = choose(validation, tuning, threads, progress)
        figures.append(_figures("validation", validation, lists, tuning))
    test = holdout(events, spans["test"], recommendable, tuning)
    if test is not None:
        progress(f"test: fitting on days up to {spans['test'].cutoff}")
        blend = make_blend(tuning, replace(choices, repeats_allowed=False), threads)
        blend.fit(test.train)
        progress(f"test: ranking for {len(test.history.person_keys)} people")
        lists = list_for_all(test, blend, [choices.repeat_weight], tuning)
        figures.append(_figures("test", test, published_lists(lists, choices), tuning))
    return Evaluation(
        pl.concat([EVALUATION.empty(), *(metrics for metrics, _ in figures)]),
        pl.concat([COMPARISONS.empty(), *(comparisons for _, comparisons in figures)]),
        choices,
    )


def _figures(split: str, held: Holdout, lists: Lists, tuning: Tuning) -> tuple[pl.DataFrame, pl.DataFrame]:
    metrics: list[dict[str, object]] = []
    comparisons: list[dict[str, object]] = []
    for target in TARGETS:
        relevant = held.relevant[target]
        some = relevant > 0
        if not some.any():
            continue
        models = sorted(model for model, of in lists if of == target)
        keys = [(model, metric, k) for model in models for metric in METRICS for k in tuning.evaluation.ks]
        values = np.stack(
            [per_person(metric, lists[model, target].hits, relevant, k)[some] for model, metric, k in keys], axis=1
        )
        means = resampled_means(values, tuning.evaluation.bootstrap, tuning.seed)
        low, high = interval(means)
        about = {"split": split, "target": target, "people": int(some.sum())}
        metrics += [
            about
            | {"model": model, "metric": metric, "k": k}
            | {"value": values[:, i].mean(), "low": low[i], "high": high[i]}
            for i, (model, metric, k) in enumerate(keys)
        ]
        place = {key: i for i, key in enumerate(keys)}
        for model, baseline, of in COMPARED:
            if of != target:
                continue
            for metric in METRICS:
                for k in tuning.evaluation.ks:
                    one, other = place[model, metric, k], place[baseline, metric, k]
                    low_gain, high_gain = interval((means[:, one] - means[:, other])[:, None])
                    comparisons.append(
                        about
                        | {"model": model, "baseline": baseline, "metric": metric, "k": k}
                        | {"difference": (values[:, one] - values[:, other]).mean()}
                        | {"low": low_gain[0], "high": high_gain[0]}
                    )
    return (
        pl.DataFrame(metrics, schema=EVALUATION.columns),
        pl.DataFrame(comparisons, schema=COMPARISONS.columns),
    )
