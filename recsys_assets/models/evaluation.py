"""How good the models are, under one global cut-off in time, and what is chosen from it (promise 6).

Validation comes first: models see what lies two holdouts back, and choices are made on the holdout after it. Then
everything is fitted anew up to one holdout back and measured on the last one, on which nothing is chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.metrics import METRICS, PerPerson, per_person
from recsys_assets.logic.split import Window, origins, windows
from recsys_assets.models import make_blend, slices
from recsys_assets.models.blend import Blend
from recsys_assets.models.calibration import calibration_figures, put_forward
from recsys_assets.models.choosing import Progress, choice_k, choose, lists_of
from recsys_assets.models.holdout import TARGETS, Holdout, Lists, holdout, holdout_before
from recsys_assets.models.leaks import impossible, leaks
from recsys_assets.models.list_figures import COVERAGE, ListFigures
from recsys_assets.models.recipe import Recipe
from recsys_assets.models.tried import chosen_lists
from recsys_assets.tables import CALIBRATION, COMPARISONS, EVALUATION, SLICES
from recsys_assets.tuning import Tuning

COMPARED = (
    ("blend", "popularity", "new"),
    ("blend", "item_cf", "new"),
    ("blend", "als", "new"),
    ("als", "popularity", "new"),
    ("item_cf", "popularity", "new"),
    ("published", "popularity", "all"),
    ("published", "personal", "all"),
    ("published", "champion", "all"),
    ("published", "champion", "new"),
)
WHOLE = 0  # the K of a figure of the whole ranking
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Evaluation:
    """Tables EVALUATION, COMPARISONS, SLICES and CALIBRATION, and what the validation window chose.

    ``leaks`` and ``doubts`` say in words what is wrong with the figures: what of the future was seen, and which of
    them cannot be. A shop too young for two holdouts has no rows of the splits that it cannot fill, and choices as if
    unasked.
    """

    metrics: pl.DataFrame
    comparisons: pl.DataFrame
    choices: Choices
    slices: pl.DataFrame = field(default_factory=SLICES.empty)
    calibration: pl.DataFrame = field(default_factory=CALIBRATION.empty)
    leaks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def with_window(
        self, split: str, held: Holdout, lists: Lists, tuning: Tuning, products: pl.DataFrame | None
    ) -> "Evaluation":
        """The figures of one more window."""
        metrics, comparisons = _figures(split, held, lists, tuning, products)
        return replace(
            self,
            metrics=pl.concat([self.metrics, metrics]),
            comparisons=pl.concat([self.comparisons, comparisons]),
            doubts=(*self.doubts, *(f"{split}: {doubt}" for doubt in impossible(lists, held, tuning))),
        )


def evaluate(
    events: pl.DataFrame | pl.LazyFrame,
    as_of: date,
    recommendable: Sequence[str],
    tuning: Tuning,
    *,
    products: Callable[[date], pl.DataFrame | None] = lambda _: None,
    champion: Recipe | None = None,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Choices from the validation window, and figures of both; of ``evaluation.origins`` − 1 older test windows too.

    All recommendable products are ranked; people are those with at least one purchase of the target in the window.
    Targets: ``new`` products were not bought before the cut-off (lists leave the bought ones out), ``repeat`` ones were
    (lists hold nothing else), ``all`` is both. Models: every member (on a test window those of the default blend
    and those that a choice asks), ``blend`` (default weights, no repeat weight), ``weights`` and ``learned`` (where
    they were tried), ``published`` (what the choices would publish), ``champion`` (what an earlier day's would, fitted
    on the same days),
    ``random`` and ``ceiling`` (all hits first). Metrics beside those at K: ``auc`` (of the whole ranking, so that K is
    0), ``novelty`` in bits, ``diversity``, shares of price tiers, and three without an interval: ``coverage``, which is
    of everybody's lists together, and ``calibration_error`` and ``brier``, which are of all candidates of everybody
    who gets a list, whether they bought anything or not (K 0).

    An older test window (split ``test-1``, one holdout earlier, and so on) gets choices of its own from the window
    before it, so that nothing is chosen on what is tested there either.

    Args:
        events: table CLEAN_EVENTS, the days up to ``as_of``; later ones are not looked at.
        as_of: last day of the test window.
        recommendable: product ids that may be listed; purchases of others do not count.
        tuning: all knobs.
        products: table CATALOG as of a cut-off, so that no product is known before its day; what is said of products
            is told to models, and gives diversity and price tiers.
        champion: what the live lists are made by.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per step.
    """
    made = Evaluation(EVALUATION.empty(), COMPARISONS.empty(), Choices.unchosen(tuning))
    for place, day in enumerate(origins(as_of, tuning.evaluation.holdout_days, tuning.evaluation.origins)):
        spans = windows(day, tuning.evaluation.holdout_days)
        choices = Choices.unchosen(tuning)
        known = products(spans["validation"].cutoff)
        validation = holdout(events, spans["validation"], recommendable, tuning, known)
        if validation is not None:
            early = slices.all_beginners(validation, events, spans["validation"], tuning)
            before = holdout_before(events, spans["validation"], recommendable, tuning, products)
            choices, lists = choose(validation, tuning, threads, progress, early, before)
            wrong = leaks(validation, events, spans["validation"], tuning)
            made = replace(made, leaks=(*made.leaks, *wrong))
            if not place:
                made = made.with_window("validation", validation, lists, tuning, known)
        if not place:
            made = replace(made, choices=choices)
        known = products(spans["test"].cutoff)
        test = holdout(events, spans["test"], recommendable, tuning, known)
        if test is None:
            break
        split = f"test-{place}" if place else "test"
        progress(f"{split}: fitting on days up to {spans['test'].cutoff}")
        blend = make_blend(tuning, replace(choices, repeats_allowed=False), threads, every=True)
        blend.fit(test.train)
        progress(f"{split}: ranking for {len(test.history.person_keys)} people")
        lists = lists_of(test, blend, choices, tuning, threads, whole=True)
        if champion is not None and not place:
            progress(f"{split}: the champion")
            lists |= _champion_lists(test, lists, Recipe(tuning, choices), champion, blend, threads)
        made = made.with_window(split, test, lists, tuning, known)
        progress(f"{split}: confidence, of everybody who gets a list")
        errors, bins = calibration_figures(split, put_forward(test, blend, choices, tuning, threads), choices)
        made = replace(
            made,
            metrics=pl.concat([made.metrics, errors]),
            calibration=pl.concat([made.calibration, bins]),
        )
        wrong = leaks(test, events, spans["test"], tuning)
        made = replace(
            made,
            slices=pl.concat([made.slices, _slices(split, test, lists, blend, choices, events, spans["test"], tuning)]),
            leaks=(*made.leaks, *wrong),
        )
    return made


def _champion_lists(
    held: Holdout, lists: Lists, challenger: Recipe, champion: Recipe, blend: Blend, threads: int
) -> Lists:
    """What the champion's recipe would publish, fitted on the same days; the same lists where the recipes are one."""
    theirs, kind = lists, "published"
    if not champion.makes_the_same_lists(challenger):
        fitted, choices = champion.fitted(held.train, blend, threads), champion.choices
        if choices.kind == "default":
            theirs = lists_of(held, fitted, choices, champion.tuning, threads)
        else:  # the lists of every member beside it would take four times as long
            theirs, kind = chosen_lists(held, fitted, choices, champion.tuning, threads), choices.kind
    return {("champion", target): theirs[kind, target] for target in TARGETS}


def _slices(
    split: str,
    held: Holdout,
    lists: Lists,
    blend: Blend,
    choices: Choices,
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    tuning: Tuning,
) -> pl.DataFrame:
    k = choice_k(tuning)
    found = [
        slices.figures(split, name, group, lists, held, k, tuning)
        for name, group in slices.groups(held, events, window, tuning).items()
    ]
    for count in slices.AFTER if tuning.evaluation.beginners else ():
        then = slices.beginners(held, events, window, tuning, count)
        made = lists_of(then, blend, choices, tuning)
        everybody = np.full(len(then.history.person_keys), str(count))
        found.append(slices.figures(split, "after", everybody, made, then, k, tuning))
    return pl.concat([SLICES.empty(), *found])


def _figures(
    split: str, held: Holdout, lists: Lists, tuning: Tuning, products: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables EVALUATION and COMPARISONS of one window."""
    metrics: list[dict[str, object]] = []
    comparisons: list[dict[str, object]] = []
    about_lists, k_of_lists = ListFigures(held, products, tuning), choice_k(tuning)
    for target in TARGETS:
        relevant = held.relevant[target]
        some = relevant > 0
        if not some.any():
            continue
        about = {"split": split, "target": target, "people": int(some.sum())}
        values: dict[Key, PerPerson] = {}
        orders = {model: lists[model, of].auc[some] for model, of in lists if of == target}
        for model in sorted(model for model, of in lists if of == target):
            listed = lists[model, target]
            for metric in METRICS:
                for k in tuning.evaluation.ks:
                    values[model, metric, k] = per_person(metric, listed.hits, relevant, k)[some]
            if model == "ceiling":  # it lists no products
                continue
            for metric, value in about_lists.per_person(listed, k_of_lists).items():
                values[model, metric, k_of_lists] = value[some]
            share = about_lists.coverage(listed, k_of_lists)
            metrics.append(about | {"model": model, "metric": COVERAGE, "k": k_of_lists, "value": share})
        keys = list(values)
        means = resampled_means(np.stack(list(values.values()), axis=1), tuning.evaluation.bootstrap, tuning.seed)
        low, high = interval(means)
        metrics += _of_whole_orders(orders, about, tuning)
        metrics += [
            about
            | {"model": model, "metric": metric, "k": k}
            | {"value": values[model, metric, k].mean(), "low": low[i], "high": high[i]}
            for i, (model, metric, k) in enumerate(keys)
        ]
        place = {key: i for i, key in enumerate(keys)}
        for model, baseline, of in COMPARED:
            if of != target or (baseline, of) not in lists:
                continue
            for metric in METRICS:
                for k in tuning.evaluation.ks:
                    one, other = (model, metric, k), (baseline, metric, k)
                    low_gain, high_gain = interval((means[:, place[one]] - means[:, place[other]])[:, None])
                    comparisons.append(
                        about
                        | {"model": model, "baseline": baseline, "metric": metric, "k": k}
                        | {"difference": (values[one] - values[other]).mean()}
                        | {"low": low_gain[0], "high": high_gain[0]}
                    )
    return (
        pl.DataFrame(metrics, schema=EVALUATION.columns),
        pl.DataFrame(comparisons, schema=COMPARISONS.columns),
    )


def _of_whole_orders(
    orders: Mapping[str, PerPerson], about: Mapping[str, object], tuning: Tuning
) -> list[dict[str, object]]:
    """AUC by model, over people of whom an order says something: not who bought all of it, or nothing known."""
    made: list[dict[str, object]] = []
    for model, values in sorted(orders.items()):
        told = values[~np.isnan(values)]
        if len(told):
            low, high = interval(resampled_means(told[:, None], tuning.evaluation.bootstrap, tuning.seed))
            figures = {"metric": "auc", "k": WHOLE, "value": told.mean(), "low": low[0], "high": high[0]}
            made.append({**about, "model": model, "people": len(told)} | figures)
    return made
