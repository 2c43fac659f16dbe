"""How good the models are, under one global cut-off in time, and what is chosen from it (promise 6).

Validation comes first: models see what lies two holdouts back, and choices are made on the holdout after it. Then
everything is fitted anew up to one holdout back and measured on the last one, on which nothing is chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.metrics import METRICS, Counts, Hits, per_person
from recsys_assets.logic.ranking import Choices
from recsys_assets.logic.split import Window, windows
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions
from recsys_assets.models.blend import MEMBERS, Blend, best_is_one
from recsys_assets.models.calibration import calibrate
from recsys_assets.models.top import Picks, block_size, top
from recsys_assets.tables import COMPARISONS, EVALUATION
from recsys_assets.tuning import Tuning

Progress = Callable[[str], None]
Mask = npt.NDArray[np.bool_]
TARGETS = ("all", "new", "repeat")
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


@dataclass(frozen=True)
class Holdout:
    """One window: what models may see, and what the people of it bought afterwards.

    ``history`` holds the people who bought something afterwards, also those never seen before; ``bought`` is them ×
    products of the training, and ``relevant`` counts per target also what no model could know.
    """

    train: Interactions
    history: Interactions
    listable: Mask
    bought: "sp.csr_matrix[np.bool_]"
    relevant: dict[str, Counts]


@dataclass(frozen=True)
class Listed:
    """Lists of all people for one model and target: people × places, in list order; scores are 0 past a list's end."""

    hits: Hits
    scores: npt.NDArray[np.float32]


Lists = dict[tuple[str, str], Listed]


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
        choices, lists = _choose(validation, tuning, threads, progress)
        figures.append(_figures("validation", validation, lists, tuning))
    test = holdout(events, spans["test"], recommendable, tuning)
    if test is not None:
        progress(f"test: fitting on days up to {spans['test'].cutoff}")
        blend = make_blend(tuning, replace(choices, repeats_allowed=False), threads)
        blend.fit(test.train)
        progress(f"test: ranking for {len(test.history.person_keys)} people")
        lists = list_for_all(test, blend, [choices.repeat_weight], tuning)
        figures.append(_figures("test", test, _publish(lists, choices), tuning))
    return Evaluation(
        pl.concat([EVALUATION.empty(), *(metrics for metrics, _ in figures)]),
        pl.concat([COMPARISONS.empty(), *(comparisons for _, comparisons in figures)]),
        choices,
    )


def holdout(
    events: pl.DataFrame | pl.LazyFrame, window: Window, recommendable: Sequence[str], tuning: Tuning
) -> Holdout | None:
    """The window's training and truth, or None where one of them is empty."""
    seen = interactions(events, window.cutoff, tuning)
    allowed = pl.DataFrame({"product_id": recommendable}, schema={"product_id": pl.String}).unique()
    later = window.purchases(events).join(allowed, on="product_id", how="semi")
    if seen.is_empty() or later.is_empty():
        return None
    train = Interactions.from_frame(seen)
    people = np.array(sorted(later["person_key"].unique().to_list()), dtype=np.str_)
    if len(people) > tuning.evaluation.people:
        drawn = np.random.default_rng(tuning.seed).choice(len(people), tuning.evaluation.people, replace=False)
        people = people[np.sort(drawn)]
    history = Interactions.from_frame(seen, train.product_ids, people)

    rows = pl.DataFrame({"person_key": people.tolist(), "_row": np.arange(len(people))})
    columns = pl.DataFrame({"product_id": train.product_ids.tolist(), "_column": np.arange(len(train.product_ids))})
    truth = later.join(rows, on="person_key").join(columns, on="product_id", how="left").sort("_row", "_column")
    known = truth.drop_nulls("_column")
    bought = sp.csr_matrix(
        (np.ones(known.height, dtype=np.bool_), (known["_row"].to_numpy(), known["_column"].to_numpy())),
        shape=(len(people), len(train.product_ids)),
    )
    total = np.bincount(truth["_row"].to_numpy(), minlength=len(people)).astype(np.int64)
    again = np.asarray(sp.csr_matrix(history.purchases.sign().multiply(bought)).sum(axis=1)).ravel().astype(np.int64)
    listable = np.isin(train.product_ids, np.array(list(recommendable), dtype=np.str_))
    return Holdout(train, history, listable, bought, {"all": total, "new": total - again, "repeat": again})


def list_for_all(held: Holdout, blend: Blend, repeat_weights: Sequence[float], tuning: Tuning) -> Lists:
    """Lists of every model and target; what would be published under ``never`` and each repeat weight, by that name."""
    places = max(*tuning.evaluation.ks, tuning.served_list_size)
    people = len(held.history.person_keys)
    made: Lists = {}

    def keep(model: str, target: str, start: int, truth: Mask, picks: Picks) -> None:
        listed = made.setdefault(
            (model, target),
            Listed(np.zeros((people, places), dtype=np.bool_), np.zeros((people, places), dtype=np.float32)),
        )
        picks = picks.first(places)
        listed.hits[start + picks.rows, picks.ranks()] = truth[picks.rows, picks.columns]
        listed.scores[start + picks.rows, picks.ranks()] = picks.scores

    size = block_size(len(held.listable))
    for start in range(0, people, size):
        history = held.history.rows(start, start + size)
        truth = held.bought[start : start + size].toarray()
        owned = history.purchases.tocoo()
        may = held.listable[owned.col]
        rows, columns = owned.row[may].astype(np.int64), owned.col[may].astype(np.int64)
        scored = blend.members(history)
        scored["blend"] = blend.combine(scored)
        scored["random"] = _random(held, start, len(truth), tuning.seed)
        again = {name: scores[rows, columns] for name, scores in scored.items()}
        for name, scores in scored.items():
            scores[:, ~held.listable] = 0
            scores[owned.row, owned.col] = 0
            new = top(scores, places)
            said = again[name] > 0
            repeat = Picks.ordered(rows[said], columns[said], again[name][said])
            keep(name, "new", start, truth, new)
            keep(name, "repeat", start, truth, repeat)
            keep(name, "all", start, truth, new.and_also(repeat.first(places)))
            if name != "blend":
                continue
            keep("never", "new", start, truth, new)
            keep("never", "all", start, truth, new)
            keep("never", "repeat", start, truth, new.first(0))
            for weight in repeat_weights:
                lifted = np.round(again["blend"] + np.float32(weight) * again["personal"], 6).astype(np.float32)
                said = lifted > 0
                repeat = Picks.ordered(rows[said], columns[said], lifted[said])
                keep(f"repeat {weight}", "new", start, truth, new)
                keep(f"repeat {weight}", "repeat", start, truth, repeat)
                keep(f"repeat {weight}", "all", start, truth, new.and_also(repeat.first(places)))
    for target in TARGETS:
        made["ceiling", target] = _ceiling(held, target, places)
    return made


def _choose(held: Holdout, tuning: Tuning, threads: int, progress: Progress) -> tuple[Choices, Lists]:
    choices = _choose_regularization(held, tuning, threads, progress)
    blend = make_blend(tuning, choices, threads)
    blend.fit(held.train)
    progress(f"validation: ranking for {len(held.history.person_keys)} people")
    lists = list_for_all(held, blend, tuning.repeats.weights, tuning)

    k = _choice_k(tuning)
    some = held.relevant["all"] > 0

    def figure(model: str) -> npt.NDArray[np.float64]:
        return per_person("ndcg", lists[model, "all"].hits, held.relevant["all"], k)[some]

    never = figure("never")
    best = max(tuning.repeats.weights, key=lambda weight: (round(float(figure(f"repeat {weight}").mean()), 9), -weight))
    gain = (figure(f"repeat {best}") - never)[:, None]
    low, _ = interval(resampled_means(gain, tuning.evaluation.bootstrap, tuning.seed))
    wanted = tuning.repeats.allowed
    # Repeats annoy where they do not help, so they have to be better beyond chance.
    allowed = wanted == "always" or (wanted == "validation" and float(low[0]) > 0)
    progress(
        f"validation: repeats {'allowed' if allowed else 'left out'} (NDCG@{k} {never.mean():.4f} without, "
        f"{never.mean() + gain.mean():.4f} with weight {best})"
    )
    choices = replace(choices, repeats_allowed=allowed, repeat_weight=best)
    published = _publish(lists, choices)
    return (
        replace(
            choices,
            new_calibration=calibrate(published["published", "new"].scores, published["published", "new"].hits),
            repeat_calibration=calibrate(
                published["published", "repeat"].scores, published["published", "repeat"].hits
            ),
        ),
        published,
    )


def _choose_regularization(held: Holdout, tuning: Tuning, threads: int, progress: Progress) -> Choices:
    """The best of ``als.regularizations`` by NDCG on new products: what suits a shop depends on its size."""
    choices = Choices.unchosen(tuning)
    k = _choice_k(tuning)
    some = held.relevant["new"] > 0
    best = -1.0
    for regularization in tuning.als.regularizations:
        tried = replace(choices, als_regularization=regularization)
        als = make_blend(tuning, tried, threads).models["als"]
        als.fit(held.train)
        hits = np.zeros((len(some), k), dtype=np.bool_)
        size = block_size(len(held.listable))
        for start in range(0, len(some), size):
            history = held.history.rows(start, start + size)
            scores = best_is_one(als.scores(history))
            scores[:, ~held.listable] = 0
            owned = history.purchases.tocoo()
            scores[owned.row, owned.col] = 0
            picks = top(scores, k)
            hits[start + picks.rows, picks.ranks()] = held.bought[start : start + size].toarray()[
                picks.rows, picks.columns
            ]
        figure = float(per_person("ndcg", hits, held.relevant["new"], k)[some].mean()) if some.any() else 0.0
        progress(f"validation: ALS with regularisation {regularization} reaches NDCG@{k} {figure:.4f} on new products")
        if round(figure, 9) > best:
            best, choices = round(figure, 9), tried
    return choices


def _publish(lists: Lists, choices: Choices) -> Lists:
    """The lists of the named models; those of the choice are named ``published``, the other trials dropped."""
    chosen = f"repeat {choices.repeat_weight}" if choices.repeats_allowed else "never"
    kept = {key: listed for key, listed in lists.items() if key[0] in {*MEMBERS, "blend", "random", "ceiling"}}
    return kept | {("published", target): lists[chosen, target] for target in TARGETS}


def _choice_k(tuning: Tuning) -> int:
    return max((k for k in tuning.evaluation.ks if k <= 10), default=min(tuning.evaluation.ks))


def _random(held: Holdout, start: int, people: int, seed: int) -> npt.NDArray[np.float32]:
    """Scores above 0, seeded per person, so that they do not depend on the block."""
    products = len(held.listable)
    return np.stack(
        [np.random.default_rng([seed, start + row]).random(products, dtype=np.float32) + 1 for row in range(people)]
    )


def _ceiling(held: Holdout, target: str, places: int) -> Listed:
    """What a ranking could reach that knew the answer and every product that was ever seen in training."""
    known = np.asarray(held.bought.sum(axis=1)).ravel()
    again = held.relevant["repeat"]
    reachable = {"all": known, "repeat": again, "new": known - again}[target]
    hits = np.arange(places)[None, :] < reachable[:, None]
    return Listed(hits, hits.astype(np.float32))


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
