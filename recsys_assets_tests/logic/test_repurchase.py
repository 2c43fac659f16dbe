from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.repurchase import repurchase_cycles
from recsys_assets.tables import REPURCHASE_CYCLES
from recsys_assets.tuning import RepurchaseCycle, Tuning
from recsys_assets_tests.models.builders import catalog, event, events

AS_OF = date(2024, 12, 31)
LAWS = ("refills", "spread", "chance")


def draw(law: str, cycle: float, random: np.random.Generator) -> float:
    """Days to the next purchase, ``cycle`` on average: nearly regular, widely spread, or without memory."""
    if law == "refills":
        return max(float(random.normal(cycle, 0.1 * cycle)), 1.0)
    return float(random.uniform(0.4 * cycle, 1.6 * cycle) if law == "spread" else random.exponential(cycle))


def shop(
    product: str, law: str, cycle: float, *, people: int, days: int, leaving: float = 0.0, seed: int = 1
) -> list[dict[str, object]]:
    """Purchases by people who begin on any day of a window of ``days``; after each one, a share stays away for good."""
    random = np.random.default_rng(seed)
    made = []
    for person in range(people):
        at = float(random.uniform(0, days))
        while at < days:
            made.append(event(f"p{person}", product, AS_OF - timedelta(days - 1 - int(at)), hour=int(at % 1 * 24)))
            if random.random() < leaving:
                break
            at += draw(law, cycle, random)
    return made


def cycles(
    rows: list[dict[str, object]], products: dict[str, str | None], tuning: Tuning | None = None
) -> pl.DataFrame:
    made = repurchase_cycles(events(*rows), catalog(products), AS_OF, tuning or Tuning())
    assert made.equals(REPURCHASE_CYCLES.conform(made))
    return made


def cycle_of(rows: list[dict[str, object]], window: int = 365) -> float:
    return float(cycles(rows, {"a": None}, Tuning(window_days=window))["cycle_days"].item())


@settings(max_examples=30)
@given(st.sampled_from(LAWS), st.integers(14, 60), st.integers(1, 2**32 - 1))
def test_a_known_cycle_is_found_within_a_tenth(law: str, cycle: int, seed: int) -> None:
    rows = shop("a", law, cycle, people=250, days=365, seed=seed)
    assert cycle_of(rows) == pytest.approx(cycle, rel=0.1)


@pytest.mark.parametrize("law", ["refills", "spread"])
def test_a_cycle_that_hardly_fits_into_the_window_is_not_cut_short(law: str) -> None:
    """Of 120 days most see no second purchase of a product that lasts 90; what ended took 80 days on average."""
    rows = shop("a", law, 90, people=500, days=120)
    dates = pl.DataFrame(rows).sort("user_key", "event_date").select(
        pl.col("event_date").diff().over("user_key").dt.total_days()
    )  # fmt: skip
    assert cycle_of(rows, window=120) == pytest.approx(90, rel=0.1)
    if law == "spread":
        assert float(dates.mean().item()) < 80


@pytest.mark.parametrize("law", LAWS)
def test_people_who_never_come_back_do_not_lengthen_the_cycle(law: str) -> None:
    rows = shop("a", law, 30, people=1500, days=365, leaving=0.4)
    assert cycle_of(rows) == pytest.approx(30, rel=0.1)


def test_too_few_intervals_fall_back_to_the_category_then_to_the_default() -> None:
    enough = shop("tea", "refills", 20, people=60, days=200)
    few = [event("p", "rare tea", AS_OF - timedelta(9)), event("p", "rare tea", AS_OF - timedelta(4))]
    alone = [event("p", "pot", AS_OF - timedelta(9)), event("p", "pot", AS_OF - timedelta(4))]
    products = {"tea": "Food > Tea", "rare tea": "Food > Tea", "new tea": "Food > Tea", "pot": "Home > Pots", "x": None}
    tuning = Tuning(repurchase_cycle=RepurchaseCycle(default_cycle_days=45))
    made = {row["product_id"]: row for row in cycles(enough + few + alone, products, tuning).iter_rows(named=True)}
    assert [(made[product]["source"], made[product]["intervals"]) for product in products] == [
        ("item", made["tea"]["intervals"]), ("category", 1), ("category", 0), ("default", 1), ("default", 0),
    ]  # fmt: skip
    assert made["tea"]["cycle_days"] == pytest.approx(20, rel=0.1)
    assert made["rare tea"]["cycle_days"] == made["new tea"]["cycle_days"] == pytest.approx(20, rel=0.1)
    assert made["pot"]["cycle_days"] == made["x"]["cycle_days"] == 45


def test_returned_purchases_and_second_units_of_a_day_are_no_intervals() -> None:
    day = AS_OF - timedelta(50)
    back = event("p", "a", day + timedelta(4), "return", quantity=-1, order="3")
    bought = [(0, "1"), (0, "2"), (3, "3"), (20, "4")]
    rows = [back, *(event("p", "a", day + timedelta(days), order=order) for days, order in bought)]
    made = cycles(rows, {"a": None}, Tuning(repurchase_cycle=RepurchaseCycle(intervals_at_least=1)))
    assert made.select("intervals", "source").row(0) == (1, "item")
    assert 20 <= made["cycle_days"].item() <= 60  # 20 days that ended, 30 that go on


def test_shuffled_rows_give_the_same_cycles() -> None:
    rows = shop("a", "chance", 20, people=50, days=300) + shop("b", "spread", 9, people=50, days=300)
    products: dict[str, str | None] = {"a": "x", "b": "x", "c": "x"}
    shuffled = [rows[place] for place in np.random.default_rng(3).permutation(len(rows))]
    assert cycles(rows, products).equals(cycles(shuffled, products))


def test_no_cycle_is_longer_than_the_window_and_nothing_is_known_of_an_empty_shop() -> None:
    rows = [event(f"p{n}", "a", AS_OF - timedelta(90 - n % 3)) for n in range(200)]
    rows += [event(f"p{n}", "a", AS_OF - timedelta(80)) for n in range(20)]
    assert cycle_of(rows, window=100) <= 100
    assert cycles([], {"a": None})["source"].to_list() == ["default"]
    assert cycles([], {}).is_empty()
