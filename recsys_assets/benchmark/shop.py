"""A shop's own history through the whole pipeline: landed, cleaned, chosen on its past, measured on what came after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys_assets.benchmark.cold import cold
from recsys_assets.benchmark.history import History, read_history
from recsys_assets.benchmark.one_out import OneOut, read_one_out, windows_of
from recsys_assets.benchmark.outcome import Clock, Progress, known_model, silent
from recsys_assets.benchmark.shop_outcome import (
    KINDS,
    ShopOutcome,
    figures_of,
    gains_of,
    paired,
    slice_rows,
)
from recsys_assets.errors import RefusedError
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.metrics import per_person
from recsys_assets.logic.split import Window, windows
from recsys_assets.models import make_blend, slices
from recsys_assets.models.blend import Blend
from recsys_assets.models.choosing import choose, lists_of
from recsys_assets.models.holdout import Holdout, Lists, holdout, holdout_before
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.tuning import EventWeights, Tuning

MODELS = (*KINDS, *MEMBER_MODELS)
PURCHASES = EventWeights(add_to_cart=0, click=0, search_click=0, view=0)


@dataclass(frozen=True)
class _Setting:
    """How everything of one run is done."""

    k: int
    model: str
    tuning: Tuning
    threads: int
    progress: Progress
    clock: Clock


@dataclass(frozen=True)
class _Run:
    """What validation chose and its figures; the models fitted on all that lies before the test, and their lists."""

    choices: Choices
    validation: dict[str, dict[str, float]]
    blend: Blend
    lists: Lists


def shop(
    paths: Sequence[str],
    *,
    cutoff: date | None,
    now: datetime,
    k: int = 10,
    model: str | None = None,
    mapping: Path | None = None,
    tuning: Tuning | None = None,
    threads: int = 0,
    progress: Progress = silent,
) -> ShopOutcome:
    """The models of a shop's day, chosen on its history up to ``cutoff`` and measured on what was bought after it.

    Choices are made on a window as long as the test's that ends with the cut-off; then everything is fitted anew up to
    the cut-off, and what comes after is measured once. Without a cut-off the purchase of each person that the file
    marks as ``held_out`` is predicted; choices are made on each person's last purchase of the rest.

    Args:
        paths: files, folders or globs of events, then of the catalogue, of any format that the importers know.
        cutoff: last day that models see; None: leave one out.
        now: rows after it are refused.
        k: places.
        model: whose figures are the outcome's; default: what would be published.
        mapping: a mapping file for the first path.
        tuning: all knobs; default: their defaults.
        threads: 0 = all cores; never changes a result.
        progress: called with one line per step.

    Raises:
        SourceError: a file cannot be read.
        RefusedError: there is no such model, or no history before the cut-off, or nothing after it.
    """
    knobs = tuning or Tuning()
    knobs = _evaluating(knobs, ks=tuple(sorted({*knobs.evaluation.ks, k})))
    setting = _Setting(k, known_model(model, MODELS) or "published", knobs, threads, progress, Clock())
    if cutoff is None:
        return _one_out(list(paths), now, mapping, setting)
    return _in_time(list(paths), cutoff, now, mapping, setting)


def _in_time(paths: list[str], cutoff: date, now: datetime, mapping: Path | None, setting: _Setting) -> ShopOutcome:
    with setting.clock("fit"):
        history = read_history(paths, mapping=mapping, now=now, tuning=setting.tuning, progress=setting.progress)
        days = _days_after(cutoff, history)
        knobs = _evaluating(setting.tuning, holdout_days=days)
        setting = replace(setting, tuning=knobs)
        spans = windows(history.last, days)
        events = history.people(spans["validation"].cutoff, knobs)
        listable = recommendable(history.catalog(history.last), setting.progress)
        validation, test = (
            holdout(events, spans[name], listable, knobs, history.catalog(spans[name].cutoff))
            for name in ("validation", "test")
        )
    if test is None:
        raise RefusedError(f"nobody bought anything that may be listed after {cutoff}: choose another cut-off")
    early = slices.all_beginners(validation, events, spans["validation"], knobs) if validation else []
    before = holdout_before(events, spans["validation"], listable, knobs, history.catalog) if validation else None
    run = _measured(validation, early, test, setting, before)
    rows = _known_of_people(test, run, events, spans["test"], setting)
    new = cold(history, events, spans["test"], setting.k, knobs)
    about = _about(history, test) | {"cutoff": str(cutoff), "days": days}
    more = {"split": about} | ({"cold": new.to_json()} if new else {})
    return _outcome(test, run, rows, setting, more, new.lines() if new else [])


def _one_out(paths: list[str], now: datetime, mapping: Path | None, setting: _Setting) -> ShopOutcome:
    if len(paths) > 1:
        raise RefusedError("--held-out takes one file of events and no catalogue: leave the second path out")
    with setting.clock("fit"):
        found = read_one_out(Path(paths[0]), mapping=mapping, now=now, tuning=setting.tuning, progress=setting.progress)
    test, run, rows = _one_out_run(found, setting)
    alone = replace(setting, tuning=setting.tuning.model_copy(update={"event_weights": PURCHASES}))
    setting.progress("the same with purchases alone")
    bought, other, _ = _one_out_run(found, alone)
    weighed = _weighed(test, run, bought, other, setting)
    more = {"split": _about(found.history, test), "event_weights": weighed}
    told = ["", "views, carts and purchases by their weights against purchases alone"]
    told += [
        f"  {one['model']:<12} {one['metric']} {one['value']:.4f} against {one['purchases_alone']:.4f}: "
        f"{one['mean']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]"
        for one in weighed
    ]
    return _outcome(test, run, rows, setting, more, told)


def _one_out_run(found: OneOut, setting: _Setting) -> tuple[Holdout, _Run, list[dict[str, Any]]]:
    with setting.clock("fit"):
        products = sorted({*found.history.events["product_id"].drop_nulls(), *found.answers["product_id"]})
        validation, earlier, test = windows_of(found, products, setting.tuning)
        window = Window(found.history.last, found.history.last)
        early = slices.all_beginners(validation, earlier, window, setting.tuning) if validation else []
    if test is None:
        raise RefusedError("there are no events beside the purchases kept back")
    run = _measured(validation, early, test, setting)
    return test, run, _known_of_people(test, run, found.history.events, window, setting)


def _measured(
    validation: Holdout | None,
    early: Sequence[Holdout],
    test: Holdout,
    setting: _Setting,
    before: Holdout | None = None,
) -> _Run:
    choices, figures = Choices.unchosen(setting.tuning), dict[str, dict[str, float]]()
    with setting.clock("fit"):
        if validation is None:
            setting.progress("validation: nothing was bought in the window before the test's, so nothing is chosen")
        else:
            choices, chosen = choose(validation, setting.tuning, setting.threads, setting.progress, early, before)
            by_target = figures_of(chosen, validation, setting.k)
            for target, by_model in by_target.items():
                for model, own in by_model.items():
                    name = f"ndcg@{setting.k}"
                    figures.setdefault(model, {})[_of(name, target)] = own[name]
        setting.progress("test: fitting on everything before it")
        # Every member, also those that the choice does without: their figures are asked for.
        all_of_them = replace(
            Choices.unchosen(setting.tuning), als_regularization=choices.als_regularization, repeats_allowed=False
        )
        blend = make_blend(setting.tuning, all_of_them, setting.threads, every=True)
        blend.fit(test.train)
    with setting.clock("score"):
        setting.progress(f"test: ranking for {len(test.history.person_keys):,} people")
        lists = lists_of(test, blend, choices, setting.tuning, setting.threads)
    return _Run(choices, figures, blend, lists)


def _known_of_people(
    test: Holdout, run: _Run, events: pl.DataFrame, window: Window, setting: _Setting
) -> list[dict[str, Any]]:
    """What is published, by length of history, and after each person's first 0, 1, 2 and 3 interactions."""
    setting.progress("test: figures by how much is known of people")
    group = slices.groups(test, events, window, setting.tuning)["history"]
    found = [slices.figures("test", "history", group, run.lists, test, setting.k, setting.tuning)]
    for count in slices.AFTER if setting.tuning.evaluation.beginners else ():
        then = slices.beginners(test, events, window, setting.tuning, count)
        lists = lists_of(then, run.blend, run.choices, setting.tuning, setting.threads)
        everybody = np.full(len(then.history.person_keys), str(count))
        found.append(slices.figures("test", "after", everybody, lists, then, setting.k, setting.tuning))
    return [row for frame in found for row in slice_rows(frame)]


def _weighed(test: Holdout, run: _Run, bought: Holdout, other: _Run, setting: _Setting) -> list[dict[str, Any]]:
    """Per model what the weights of views and carts add, paired: the same people and answers in both runs."""
    same = np.array_equal(test.history.person_keys, bought.history.person_keys)
    assert same, "people are those of the answers"
    made = []
    for model in ("popularity", "als", "item_cf", "blend", "published"):
        with_all, alone = (
            per_person("ndcg", each.lists[model, "all"].hits, test.relevant["all"], setting.k) for each in (run, other)
        )
        about: dict[str, Any] = {"model": model, "metric": f"ndcg@{setting.k}", "value": float(with_all.mean())}
        made.append(about | {"purchases_alone": float(alone.mean())} | paired(with_all - alone, setting.tuning))
    return made


def _outcome(
    test: Holdout,
    run: _Run,
    rows: list[dict[str, Any]],
    setting: _Setting,
    more: dict[str, Any],
    told: list[str],
) -> ShopOutcome:
    figures = figures_of(run.lists, test, setting.k)
    if setting.model not in figures["all"]:
        raise RefusedError(f"the knobs of this shop leave {setting.model} out; there are {', '.join(figures['all'])}")
    metrics = {
        _of(name, target): value
        for target, by_model in figures.items()
        for name, value in by_model[setting.model].items()
    }
    choice = {name: value for name, value in asdict(run.choices).items() if name not in _LONG}
    return ShopOutcome(
        protocol="shop",
        model=setting.model,
        metrics=metrics,
        validation=run.validation,
        choice=choice,
        clock=setting.clock,
        figures=figures,
        gains=tuple(gains_of(run.lists, test, setting.model, setting.k, setting.tuning)),
        slices=tuple(rows),
        more=more,
        told=tuple(told),
    )


_LONG = ("trees", "facts", "new_calibration", "repeat_calibration")  # of a choice; not for reading


def _of(name: str, target: str) -> str:
    """A metric's key: that of all products has no suffix."""
    return name if target == "all" else f"{name}_{target}"


def _about(history: History, test: Holdout) -> dict[str, Any]:
    return {
        "events": history.events.height,
        "people": len(test.history.person_keys),
        "products": int(test.listable.sum()),
        "first": str(history.first),
        "last": str(history.last),
    }


def _evaluating(tuning: Tuning, **knobs: Any) -> Tuning:
    return tuning.model_copy(update={"evaluation": tuning.evaluation.model_copy(update=knobs)})


def _days_after(cutoff: date, history: History) -> int:
    if not history.first <= cutoff < history.last:
        raise RefusedError(
            f"the cut-off {cutoff} is not between the day of the first event, {history.first}, and that of the last "
            f"one, {history.last}: choose a day from the first to the one before the last"
        )
    return (history.last - cutoff).days


def recommendable(catalog: pl.DataFrame, progress: Progress = silent) -> list[str]:
    """Products that may be listed, as in the platform; every one where no product at all has a price."""
    may = catalog.filter(pl.col("not_recommendable").is_null())
    if may.is_empty() and catalog["unit_price_micros"].null_count() == catalog.height:
        progress("no product has a price: every one is ranked")
        may = catalog
    return may["product_id"].sort().to_list()
