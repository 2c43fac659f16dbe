from datetime import date, timedelta

import numpy as np
import polars as pl

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.split import Window
from recsys_assets.models.holdout import holdout
from recsys_assets.models.served import ranking_as_of, served
from recsys_assets.tables import CANDIDATES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import catalog, event, events, rows

DAY = date(2024, 12, 31)
CUTOFF = DAY - timedelta(14)
TUNING = Tuning(repurchase_cycle={"enabled": True})
CHOICES = Choices(True, 1.0, 1.0)
PRODUCTS: dict[str, str | None] = {"bread": "Food", "jam": "Food", "milk": "Food", "tea": "Food"}


def past_and_future() -> pl.DataFrame:
    return events(
        event("p", "milk", CUTOFF - timedelta(60)), event("p", "bread", CUTOFF), event("q", "tea", CUTOFF),
        event("q", "jam", CUTOFF - timedelta(3)),
        event("p", "milk", CUTOFF + timedelta(2)), event("p", "tea", CUTOFF + timedelta(2)),
        event("p", "bread", CUTOFF + timedelta(2)),
    )  # fmt: skip


def test_what_is_served_is_measured_with_its_rules() -> None:
    """p waits for bread (just bought) and is not shown jam (banned); milk and tea are hits, q is not of the window."""
    held = holdout(past_and_future(), Window(CUTOFF, DAY), sorted(PRODUCTS), TUNING)
    assert held is not None
    ranking = ranking_as_of(past_and_future(), catalog(PRODUCTS, ("jam",)), CUTOFF, CHOICES, TUNING)
    pool = [
        {"person_key": person, "product_id": product, "score": score, "purchased": product in {"milk", "bread"},
         "similar_owned": 0}
        for person in "pq" for product, score in (("bread", 0.9), ("jam", 0.8), ("milk", 0.7), ("tea", 0.6))
    ]  # fmt: skip
    made = served(held, ranking.rank(rows(CANDIDATES, pool)).lists, 3)
    columns = {name: place for place, name in enumerate(held.train.product_ids)}
    assert made["all"].columns.tolist() == [[columns["milk"], columns["tea"], -1]]
    assert made["all"].hits.tolist() == [[True, True, False]]
    # Usual price 1, budget 1.5: tea for 2 keeps three quarters of its score.
    assert made["all"].scores.tolist() == [np.array([0.7, 0.6 * 1.5 / 2, 0], dtype=np.float32).tolist()]
    assert made["new"].hits.tolist() == [[True, False, False]]
    assert made["repeat"].columns.tolist() == [[columns["milk"], -1, -1]]


def test_rules_know_nothing_of_what_came_later() -> None:
    before = past_and_future().filter(pl.col("event_date") <= CUTOFF)
    one, other = (
        ranking_as_of(seen, catalog(PRODUCTS), CUTOFF, CHOICES, TUNING) for seen in (before, past_and_future())
    )
    assert one.shoppers.rows.equals(other.shoppers.rows)
    for name in ("product", "days", "since", "usual_price"):
        assert getattr(one.shoppers, name).tolist() == getattr(other.shoppers, name).tolist()
    assert one.shelf.buyers.tolist() == other.shelf.buyers.tolist()
    assert one.shelf.cycle_days.tolist() == other.shelf.cycle_days.tolist()
