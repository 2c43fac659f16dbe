from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl

from recsys_assets.assets.reference import hold_on_to, reference
from recsys_assets.logic.search import Searched
from recsys_assets.resources import Shop
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.searches import Searches
from recsys_assets.tables import PROMOTION
from recsys_assets.tuning import Tuning

DAY = date(2024, 5, 1)


def went_live(lake: Lake, day: date, number: int, **knobs: Any) -> str | None:
    """Why this version is held on to, after it went live under all rules; None: it is not."""
    verdict = dict.fromkeys(PROMOTION.columns) | {"rule": "coverage", "passed": True}
    lake.write(PROMOTION, day, pl.DataFrame([verdict], schema=PROMOTION.columns))
    aliases: dict[str, int] = {}
    tracking = SimpleNamespace(set_alias=lambda version, alias: aliases.update({alias: version}))
    shop = SimpleNamespace(lake=lake, tuning=Tuning.model_validate(knobs), tracking=tracking)
    made = hold_on_to(cast("Shop", shop), day, f"recsys/{number}")
    assert aliases == ({"reference": number} if made else {})
    assert made is None or made == reference(cast("Shop", shop), day)
    return made.because if made else None


def test_a_search_moves_the_reference_and_a_knob_set_by_hand_does_not(tmp_path: Path) -> None:
    lake, days = Lake(str(tmp_path)), [DAY + timedelta(n) for n in range(5)]
    assert went_live(lake, days[0], 1) == "the first that went live"
    assert went_live(lake, days[1], 2) is None
    seen = DAY - timedelta(30)
    Searches(lake).record(Searched(days[2], "", True, {"als.factors": 32}, seen, {}, "", ()), {})
    assert went_live(lake, days[2], 3) == "with the knobs of an accepted search"
    assert went_live(lake, days[3], 4) is None
    assert went_live(lake, days[4], 5, als={"alpha": 2.0}) is None
