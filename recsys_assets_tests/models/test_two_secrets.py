"""Two homes with the same files and different secrets: equal figures, choices, models and lists."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from recsys_assets.identity import KeyRing
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.people_order import called_by_number, numbers
from recsys_assets.logic.steps import steps
from recsys_assets.models import base, make_blend
from recsys_assets.models.candidates import candidates
from recsys_assets.models.evaluation import Evaluation, evaluate
from recsys_assets.tuning import Als, Blending, Tuning
from recsys_assets.tuning import Evaluation as Protocol
from recsys_assets_tests.models.builders import always, event, events

AS_OF = date(2024, 6, 30)
PEOPLE, PRODUCTS = 110, [f"i{product:02}" for product in range(30)]
# Fewer people than there are are evaluated: who they are must not depend on a key.
TUNING = Tuning(
    als=Als(factors=8, iterations=3, regularizations=(0.1, 1.0)),
    evaluation=Protocol(holdout_days=7, ks=(5,), bootstrap=100, people=100, beginners=0),
    blend=Blending(kind="default"),
)
HOMES = KeyRing(b"a secret of one home"), KeyRing(b"the secret of another")


def shop(keys: KeyRing) -> pl.DataFrame:
    """What a home with these keys has cleaned: everybody buys some products over six weeks, at moments that collide."""
    random = np.random.default_rng(7)
    made = [
        event(f"p{person:02}", PRODUCTS[int(random.integers(30) * random.random())], AS_OF - timedelta(days=7 * back))
        | {"session_id": f"{person} {visit}"}
        for person in range(PEOPLE) for back in range(6) for visit in range(2)
    ]  # fmt: skip
    keyed = events(*made).with_columns(
        pl.col("user_key").map_elements(keys.user_key, return_dtype=pl.String),
        pl.col("session_id", "event_id").map_elements(keys.session_key, return_dtype=pl.String),
    )
    return keyed.sort("event_date", "event_time", "event_id")


def evaluated(seen: pl.DataFrame) -> Evaluation:
    return evaluate(seen, AS_OF, always(PRODUCTS), TUNING, threads=1)


def test_figures_and_choices_are_the_same() -> None:
    one, other = (evaluated(called_by_number(seen, numbers(seen))) for seen in map(shop, HOMES))
    assert one.choices == other.choices
    assert one.metrics.height > 100
    for name in ("metrics", "comparisons", "slices", "calibration"):
        assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert not evaluated(shop(HOMES[0])).metrics.equals(one.metrics)  # what people in order of their keys would give


def test_models_and_lists_are_the_same() -> None:
    lists = []
    for keys in HOMES:
        events_ = shop(keys)
        in_order = called_by_number(events_, numbers(events_), ["session_id"])
        seen, taken = interactions(events_, AS_OF, TUNING), steps(in_order, AS_OF, TUNING)
        people = base.Interactions.from_frame(seen, np.array(PRODUCTS), steps=taken)
        choices = replace(Choices.unchosen(TUNING), repeats_allowed=True)
        blend = make_blend(TUNING, choices, 1, every=True)
        blend.fit(base.called_by_number(people))
        listable = np.ones(len(PRODUCTS), dtype=np.bool_)
        made = pl.concat(candidates(blend, people, listable, choices, TUNING, threads=1))
        ids = {keys.user_key(f"p{person:02}"): person for person in range(PEOPLE)}
        named = made.with_columns(pl.col("person_key").replace_strict(ids))
        lists.append(named.sort("person_key", maintain_order=True))
    assert lists[0].height > 5 * PEOPLE
    # The sixth digit of a score may differ: how BLAS multiplies a row depends on the row's place in its block, and
    # blocks are in order of keys, as lists are written. Which product stands where does not.
    assert lists[0].select("person_key", "product_id").equals(lists[1].select("person_key", "product_id"))
    assert_frame_equal(lists[0], lists[1], check_exact=False, rel_tol=0, abs_tol=2e-6)
