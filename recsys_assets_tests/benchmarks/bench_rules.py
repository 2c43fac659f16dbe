"""What each rule of Level 2 costs or gains, on the validation window of a shop: NDCG@10 of what would be served.

Run: ``python -m recsys_assets_tests.benchmarks.bench_rules --complete-journey package [--cutoff 2017-12-03]``, or with
files of any format that ``recsys ingest auto`` knows. Choices are made on the window before, so that no rule is
measured on the people whom the order was learned from; nothing is looked at after the cut-off.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.benchmark.history import read_history
from recsys_assets.benchmark.shop import recommendable
from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.metrics import per_person
from recsys_assets.logic.split import windows
from recsys_assets.models import make_blend
from recsys_assets.models.candidates import candidates
from recsys_assets.models.choosing import choose
from recsys_assets.models.holdout import Holdout, holdout, holdout_before
from recsys_assets.models.learned import Learned
from recsys_assets.models.served import ranking_as_of, served
from recsys_assets.tuning import Tuning

K = 10
Knobs = dict[str, dict[str, object]]
NO_RULES: Knobs = {"upsell": {"enabled": False}, "price_sensitivity": {"enabled": False}}
RULES: dict[str, Knobs] = {
    "score alone": NO_RULES,
    "defaults: upsell, price sensitivity": {},
    "upsell alone": {**NO_RULES, "upsell": {"enabled": True}},
    "price sensitivity alone": {**NO_RULES, "price_sensitivity": {"enabled": True}},
    "segment filter": {"segment_filter": {"enabled": True}},
    "repurchase cycle": {"repurchase_cycle": {"enabled": True}},
    "a tenth of the cycle": {"repurchase_cycle": {"enabled": True, "exclude_before": 0.1}},
    "diversity .1": {"diversity": {"strength": 0.1}},
    "diversity .3": {"diversity": {"strength": 0.3}},
    "2 per category": {"diversity": {"category_cap": 2}},
    "2 per brand": {"diversity": {"brand_cap": 2}},
}


def prepared(
    paths: list[str], cutoff: date, tuning: Tuning, say: Callable[[str], None]
) -> tuple[Holdout, Choices, Callable[[Tuning], pl.DataFrame]]:
    """The window that ends with ``cutoff``, what the one before it chose, and Level 2 over the candidates of that."""
    history = read_history(paths, mapping=None, now=datetime.now(UTC), tuning=tuning, progress=say)
    spans = windows(cutoff, tuning.evaluation.holdout_days)
    window, before = spans["test"], spans["validation"]
    events = history.people(before.cutoff, tuning)
    listable = recommendable(history.catalog(cutoff), say)
    chosen_on = holdout(events, before, listable, tuning, history.catalog(before.cutoff))
    held = holdout(events, window, listable, tuning, history.catalog(window.cutoff))
    if chosen_on is None or held is None:
        raise SystemExit(f"nothing was bought in the weeks before {cutoff}: name another --cutoff")
    earlier = holdout_before(events, before, listable, tuning, history.catalog)
    choices, _ = choose(chosen_on, tuning, 0, say, (), earlier)
    blend = make_blend(tuning, choices, 0)
    blend.fit(held.train)
    reorder = Learned.of(choices, held.traits) if choices.kind == "learned" else None
    blocks = candidates(blend, held.history, held.listable, choices, tuning, reorder=reorder)
    pool, catalog = pl.concat(blocks), history.catalog(window.cutoff)

    def ranked(knobs: Tuning) -> pl.DataFrame:
        return ranking_as_of(events, catalog, window.cutoff, choices, knobs).rank(pool).lists

    return held, choices, ranked


def figure(held: Holdout, lists: pl.DataFrame) -> npt.NDArray[np.float64]:
    """NDCG@10 of each person who bought something."""
    asked = held.relevant["all"]
    return per_person("ndcg", served(held, lists, K)["all"].hits, asked, K)[asked > 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=["package"], help="events, catalogue; default: Complete Journey")
    parser.add_argument(
        "--cutoff", type=date.fromisoformat, default=date(2017, 12, 3), help="last day that is looked at"
    )
    given = parser.parse_args()
    tuning = Tuning()
    held, choices, ranked = prepared(given.paths, given.cutoff, tuning, print)
    days = (given.cutoff - timedelta(tuning.evaluation.holdout_days), given.cutoff)
    print(
        f"\n{len(held.history.person_keys):,} people, bought after {days[0]} up to {days[1]}; order: {choices.kind}\n"
    )
    print(f"| rule | NDCG@{K} | against score alone | 95 % interval |\n|---|---|---|---|")
    base: npt.NDArray[np.float64] | None = None
    for name, knobs in RULES.items():
        values = figure(held, ranked(Tuning.model_validate(tuning.model_dump() | _merged(tuning, knobs))))
        base = values if base is None else base
        means = resampled_means((values - base)[:, None], tuning.evaluation.bootstrap, tuning.seed)
        low, high = interval(means)
        print(
            f"| {name} | {values.mean():.4f} | {(values - base).mean():+.4f} | [{low[0]:+.4f}, {high[0]:+.4f}] |",
            flush=True,
        )


def _merged(tuning: Tuning, knobs: Knobs) -> dict[str, object]:
    return {section: getattr(tuning, section).model_dump() | own for section, own in knobs.items()}


if __name__ == "__main__":
    main()
