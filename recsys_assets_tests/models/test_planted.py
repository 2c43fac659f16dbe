"""A made shop whose tastes are known: personal lists find them, what is popular does not."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_assets.contract import FIELDS
from recsys_assets.identity import KeyRing
from recsys_assets.importers.base import RAW_COLUMNS
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.events import clean
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.landing import LandingRules, land
from recsys_assets.logic.simulate import days
from recsys_assets.logic.simulated_shop import Scale, make_shop, truth
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions
from recsys_assets.models.candidates import candidates
from recsys_assets.tables import LANDING_RATES
from recsys_assets.tuning import Tuning

FIRST, COUNT = date(2026, 1, 1), 60
KEYS = KeyRing(b"a secret of 16 bytes")


def landed(events: pl.DataFrame) -> pl.DataFrame:
    """Simulated events as an importer hands them over, landed."""
    sent = events.select(name.name for name in FIELDS["events"] if name.name in events.columns)
    raw = sent.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in RAW_COLUMNS.items())
    raw = raw.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("source_line"))
    now = datetime(2027, 1, 1, tzinfo=UTC)
    return land(raw, "events", "made", LandingRules(KEYS, FIRST, "UTC", "EUR", now, 5, FIRST))


@pytest.fixture(scope="module")
def shares() -> dict[str, float]:
    """By weights: of each person's ten best new products, the share in the person's favourite category."""
    shop = make_shop(Scale(users=300, products=360, days=COUNT, first_day=FIRST, seed=5, visits_per_month=8))
    cleaned = clean(landed(pl.concat([day.events for day in days(shop)])), LANDING_RATES.empty(), "EUR")
    assert cleaned.rejected.is_empty()
    facts, tuning = truth(shop), Tuning()
    people = facts["users"].select(
        pl.Series("person_key", [KEYS.user_key(user) for user in facts["users"]["user_id"]]), "favourite_category"
    )
    train = Interactions.from_frame(interactions(cleaned.clean, FIRST + timedelta(COUNT - 1), tuning))
    choices = Choices(repeats_allowed=False, repeat_weight=0.0, als_regularization=1.0)
    found = {}
    popular = Tuning.model_validate({"model_weights": {"als": 0.0, "item_cf": 0.0, "popularity": 1.0}})
    for name, knobs in {"blend": tuning, "popularity": popular}.items():
        blend = make_blend(knobs, choices)
        blend.fit(train)
        listable = np.ones(len(train.product_ids), dtype=bool)
        lists = pl.concat(list(candidates(blend, train, listable, choices, knobs)))
        best = lists.group_by("person_key", maintain_order=True).head(10)
        seen = best.join(people, on="person_key").join(facts["products"], on="product_id")
        found[name] = int((seen["category"] == seen["favourite_category"]).sum()) / seen.height
    return found


def test_personal_lists_find_the_planted_favourites_and_popular_ones_do_not(shares: dict[str, float]) -> None:
    assert shares["blend"] > 3 * shares["popularity"]
    assert shares["blend"] > 0.25
