"""How good the models are, under one global cut-off in time, and what is chosen from it (promise 6).

Validation comes first: models see what lies two holdouts back, and choices are made on the holdout after it. Then
everything is fitted anew up to one holdout back and measured on the last one, on which nothing is chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.metrics import METRICS, NOTHING, PerPerson, per_person
from recsys_assets.logic.split import Window, origins, windows
from recsys_assets.models import make_blend, slices
from recsys_assets.models.blend import Blend
from recsys_assets.models.calibration import calibration_figures, put_forward
from recsys_assets.models.choosing import Progress, choice_k, choose, lists_of
from recsys_assets.models.fused import values_at
from recsys_assets.models.holdout import TARGETS, Holdout, Listed, Lists, holdout, holdout_before
from recsys_assets.models.leaks import impossible, leaks, same_training
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
    ("published", "reference", "all"),
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
        # Other recipes may know products that this window's training does not: their ceiling is another one.
        own = {key: listed for key, listed in lists.items() if key[0] not in ("champion", "reference")}
        return replace(
            self,
            metrics=pl.concat([self.metrics, metrics]),
            comparisons=pl.concat([self.comparisons, comparisons]),
            doubts=(*self.doubts, *(f"{split}: {doubt}" for doubt in impossible(own, held, tuning))),
        )


def evaluate(
    events: pl.DataFrame | pl.LazyFrame,
    as_of: date,
    recommendable: Callable[[date], Sequence[str]],
    tuning: Tuning,
    *,
    links: Callable[[pl.LazyFrame, date], pl.DataFrame | pl.LazyFrame] = lambda events, _: events,
    products: Callable[[date], pl.DataFrame | None] = lambda _: None,
    champion: Recipe | None = None,
    reference: Recipe | None = None,
    older: Callable[[date], Tuning] | None = None,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Choices from the validation window, and figures of both; of ``evaluation.origins`` − 1 older test windows too.

    All recommendable products are ranked; people are those with at least one purchase of the target in the window.
    Targets: ``new`` products were not bought before the cut-off (lists leave the bought ones out), ``repeat`` ones were
    (lists hold nothing else), ``all`` is both. Models: every member (on a test window those of the default blend
    and those that a choice asks), ``blend`` (default weights, no repeat weight), ``weights`` and ``learned`` (where
    they were tried), ``published`` (what the choices would publish), ``champion`` (what an earlier day's would, by its
    own knobs, fitted up to the same day),
    ``random`` and ``ceiling`` (all hits first). Metrics beside those at K: ``auc`` (of the whole ranking, so that K is
    0), ``novelty`` in bits, ``diversity``, shares of price tiers, and three without an interval: ``coverage``, which is
    of everybody's lists together, and ``calibration_error`` and ``brier``, which are of all candidates of everybody
    who gets a list, whether they bought anything or not (K 0).

    An older test window (split ``test-1``, one holdout earlier, and so on) gets choices of its own from the window
    before it, so that nothing is chosen on what is tested there either.

    Args:
        events: table CLEAN_EVENTS, the days up to ``as_of``; later ones are not looked at.
        as_of: last day of the test window.
        recommendable: product ids that could be listed at the end of a window's cut-off, by the catalogue of that day;
            purchases of others do not count. A product that sells out in the window could be listed before it.
        tuning: all knobs.
        links: events and a cut-off → the same events under the links between people's keys that were known by it.
        products: table CATALOG as of a cut-off, so that no product is known before its day; what is said of products
            is told to models, and gives diversity and price tiers.
        champion: what the live lists are made by.
        reference: a fixed recipe, beside it.
        older: the knobs of an older test window, by its last day: none was tuned on it. Default: ``tuning``.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per step.
    """
    made = Evaluation(EVALUATION.empty(), COMPARISONS.empty(), Choices.unchosen(tuning))

    def known(cutoff: date, days: int) -> pl.DataFrame:
        """So many days up to the cut-off and what came after it, under the links of the cut-off."""
        return links(events.lazy(), cutoff).lazy().filter(_since(cutoff, days)).collect()

    def again(cutoff: date, days: int) -> pl.DataFrame:
        """The same, made of nothing but the days up to the cut-off."""
        seen = events.lazy().filter(pl.col("event_date") <= cutoff)
        return links(seen, cutoff).lazy().filter(_since(cutoff, days)).collect()

    for place, day in enumerate(origins(as_of, tuning.evaluation.holdout_days, tuning.evaluation.origins)):
        own = older(day) if place and older is not None else tuning
        spans = windows(day, own.evaluation.holdout_days)
        choices = Choices.unchosen(own)
        window = spans["validation"]
        seen, facts = known(window.cutoff, own.window_days), products(window.cutoff)
        validation = holdout(seen, window, recommendable(window.cutoff), own, facts)
        if validation is not None:
            early = slices.all_beginners(validation, seen, window, own)
            past = window.before().cutoff
            before = holdout_before(known(past, own.window_days), window, recommendable(past), own, products)
            choices, lists = choose(validation, own, threads, progress, early, before)
            wrong = leaks(validation, again(window.cutoff, own.window_days), window, own, facts)
            made = replace(made, leaks=(*made.leaks, *wrong))
            if not place:
                made = made.with_window("validation", validation, lists, own, facts)
        if not place:
            made = replace(made, choices=choices)
        window = spans["test"]
        seen, facts = known(window.cutoff, own.window_days), products(window.cutoff)
        test = holdout(seen, window, recommendable(window.cutoff), own, facts)
        if test is None:
            break
        split = f"test-{place}" if place else "test"
        progress(f"{split}: fitting on days up to {window.cutoff}")
        blend = make_blend(own, replace(choices, repeats_allowed=False), threads, every=True)
        blend.fit(test.train)
        progress(f"{split}: ranking for {len(test.history.person_keys)} people")
        lists = lists_of(test, blend, choices, own, threads, whole=True)

        def seen_by(knobs: Tuning, window: Window = window, facts: pl.DataFrame | None = facts) -> Holdout | None:
            return holdout(known(window.cutoff, knobs.window_days), window, recommendable(window.cutoff), knobs, facts)

        if not place:
            others = {"champion": champion, "reference": reference}
            progress(f"{split}: {' and '.join(name for name, one in others.items() if one) or 'no other recipe'}")
            lists |= _lists_of_others(others, Recipe(own, choices), test, lists, seen_by, blend, threads)
        made = made.with_window(split, test, lists, own, facts)
        progress(f"{split}: confidence, of everybody who gets a list")
        errors, bins = calibration_figures(split, put_forward(test, blend, choices, own, threads), choices)
        made = replace(
            made,
            metrics=pl.concat([made.metrics, errors]),
            calibration=pl.concat([made.calibration, bins]),
        )
        wrong = leaks(test, again(window.cutoff, own.window_days), window, own, facts)
        made = replace(
            made,
            slices=pl.concat([made.slices, _slices(split, test, lists, blend, choices, seen, window, own)]),
            leaks=(*made.leaks, *wrong),
        )
    return made


def _since(cutoff: date, days: int) -> pl.Expr:
    return pl.col("event_date") > cutoff - timedelta(days=days)


def _as_measured(champion: Tuning, ours: Tuning) -> Tuning:
    """The champion's knobs, but those of how it is measured: on the same people, as deep."""
    return champion.model_copy(update={"evaluation": ours.evaluation, "seed": ours.seed})


def _lists_of_others(
    others: Mapping[str, Recipe | None],
    ours: Recipe,
    held: Holdout,
    lists: Lists,
    seen_by: Callable[[Tuning], Holdout | None],
    blend: Blend,
    threads: int,
) -> Lists:
    """What other recipes would publish, under their names; one that makes the lists of another is not made again."""
    made: Lists = {}
    recipes = [("published", ours)]
    for name, recipe in others.items():
        if recipe is None:
            continue
        same = next((other for other, one in recipes if recipe.makes_the_same_lists(one)), None)
        if same is not None:
            theirs = {key: listed for key, listed in (lists | made).items() if key[0] == same}
        else:
            knobs = _as_measured(recipe.tuning, ours.tuning)
            then = seen_by(knobs)
            # By its own days of history it may know nobody; then there is nothing to compare with.
            theirs = _champion_lists(held, then, recipe, blend, knobs, threads) if then else {}
        made |= {(name, target): listed for (_, target), listed in theirs.items()}
        recipes.append((name, recipe))
    return made


def _champion_lists(
    held: Holdout, then: Holdout, champion: Recipe, blend: Blend, measured: Tuning, threads: int
) -> Lists:
    """What the champion's recipe would publish of each target.

    Args:
        held: the window.
        then: the same window as the champion's own knobs see it: its days of history, its weights of events.
        champion: by what to make them.
        blend: the challenger's, fitted on ``held``: what both ask alike is not fitted twice.
        measured: the champion's knobs as it is measured, see `_as_measured`.
        threads: 0 = all cores; never changes a result.
    """
    same = same_training(held, then)
    choices, fitted = champion.choices, champion.fitted(then.train, blend if same else None, threads)
    # Where it has chosen, the lists of every member beside it would take four times as long.
    made = lists_of if choices.kind == "default" else chosen_lists
    kind = "published" if choices.kind == "default" else choices.kind
    lists = made(then, fitted, choices, measured, threads)
    own = {("champion", target): lists[kind, target] for target in TARGETS}
    return own if same else {key: _in_columns_of(held, then, key[1], listed) for key, listed in own.items()}


def _in_columns_of(held: Holdout, then: Holdout, target: str, listed: Listed) -> Listed:
    """Lists of ``then`` as lists of ``held``: its columns, and what was bought before by its days of history.

    A product that ``held`` does not know keeps its hit, and has no column.
    """
    ours = {product: column for column, product in enumerate(held.train.product_ids.tolist())}
    of = np.array([ours.get(product, NOTHING) for product in then.train.product_ids.tolist()], dtype=np.int32)
    columns = np.where(listed.columns == NOTHING, NOTHING, of[np.maximum(listed.columns, 0)])
    rows = np.repeat(np.arange(len(columns)), columns.shape[1]).reshape(columns.shape)
    known = columns != NOTHING
    again = np.zeros(columns.shape, dtype=np.bool_)
    again[known] = values_at(held.history.purchases, rows[known], columns[known].astype(np.int64)) > 0
    counted = {"all": np.ones_like(again), "new": ~again, "repeat": again}[target]
    return replace(listed, hits=listed.hits & counted, columns=columns)


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
