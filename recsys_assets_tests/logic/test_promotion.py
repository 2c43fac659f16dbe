from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recsys_assets.logic.promotion import (
    BASELINES,
    STRETCH,
    Compared,
    ListFacts,
    churn,
    decide,
    judge,
    new_reference,
    table,
)
from recsys_assets.tables import CATALOG, COMPARISONS, EVALUATION, MICROS, PROMOTION
from recsys_assets.tuning import Promotion
from recsys_assets_tests.models.builders import rows

KNOBS = Promotion()
LIVE = ListFacts(
    people=100, products=60, length=10.0, tiers={"budget": 0.5, "mid": 0.3, "premium": 0.2}, price=5.0 * MICROS,
    out_of_stock=0.0,
)  # fmt: skip
EVEN = Compared("champion", "NDCG@10", 0.0, -0.01, 0.01, 500, 0.3)


def failed(today: ListFacts = LIVE, **other: object) -> list[str]:
    """Names of the rules that refuse ``today`` over `LIVE`."""
    given = {"compared": {"champion": EVEN}, "live": LIVE, "changed": 0.3, "people": (100, 100), "knobs": KNOBS} | other
    made = judge(today=today, **given)  # type: ignore[arg-type]  # each by its own name
    return [one.rule for one in made if not one.ok]


def test_lists_like_the_live_ones_pass() -> None:
    assert failed() == []


@pytest.mark.parametrize("baseline", BASELINES)
def test_worse_is_a_loss_beyond_chance_that_may_be_more_than_the_margin(baseline: str) -> None:
    """Of .3, .006 may be lost."""

    def refused(difference: float, low: float, high: float, people: int = 500) -> bool:
        found = replace(EVEN, difference=difference, low=low, high=high, people=people)
        return failed(compared={baseline: found}) == [f"no_worse_than_{baseline}"]

    assert refused(-0.02, -0.03, -0.01)
    assert not refused(-0.02, -0.03, -0.01, people=29)
    assert not refused(-0.02, -0.03, 0.0)  # it may be chance
    assert not refused(-0.02, -0.03, -0.004)  # nor is that certain: once in 40 nights is too often
    assert not refused(-0.003, -0.005, -0.001)  # certain, and small
    assert not refused(-0.02, -0.5, 0.4)


def nightly(
    people: int, nights: int, loss: float, noise: float, knobs: Promotion = KNOBS, seed: int = 1
) -> tuple[list[int], list[int]]:
    """Nights on which ``champion``, and ``reference``, refuse: each night's recipe loses ``loss`` to the one before it.

    Each night asks other people, as the test window moves on. A person's NDCG differs between two recipes by ``noise``
    (a standard deviation), of which most people have none: their lists are the same.
    """
    random = np.random.default_rng(seed)
    refused: dict[str, list[int]] = {"champion": [], "reference": []}
    for night in range(1, nights + 1):
        found = {}
        for baseline, total in (("champion", loss), ("reference", loss * night)):
            other = random.random(people) < 0.3
            values = np.where(other, random.normal(0, noise / 0.3**0.5, people), 0.0) - total
            middle, half = float(values.mean()), 1.96 * float(values.std()) / people**0.5
            found[baseline] = Compared(baseline, "NDCG@10", middle, middle - half, middle + half, people, 0.3)
        rules = failed(compared=found, knobs=knobs)
        for baseline in found:
            if f"no_worse_than_{baseline}" in rules:
                refused[baseline].append(night)
    return refused["champion"], refused["reference"]


@pytest.mark.parametrize(("people", "noise"), [(144, 0.06), (2_000, 0.1), (20_000, 0.1)])
def test_twenty_small_nightly_losses_are_stopped(people: int, noise: float) -> None:
    """Of .3, .0015 a night: held against the live recipe each passes, and after 20 nights a tenth would be lost."""
    by_champion, by_reference = nightly(people, 20, 0.0015, noise)
    assert len(by_champion) <= 1  # one of 20 nights may look worse than it is
    assert by_reference
    # Nothing is served that is worse than the margin and what chance can hide of so many people.
    hidden = 2 * STRETCH * 1.96 * noise / people**0.5
    assert min(by_reference) * 0.0015 <= 0.006 + hidden


@pytest.mark.parametrize("people", [40, 144, 5_000])
def test_an_equal_recipe_is_stopped_on_at_most_one_night_of_a_hundred(people: int) -> None:
    """By either rule, without any margin to help; with it, large shops are never stopped."""
    nights = 600
    strict = nightly(people, nights, 0.0, 0.06, Promotion(margin=0.0))
    assert len({*strict[0], *strict[1]}) <= 0.02 * nights
    by_margin = nightly(people, nights, 0.0, 0.06)
    assert len({*by_margin[0], *by_margin[1]}) <= (0 if people == 5_000 else 0.02) * nights


def test_everybody_the_same_list_is_too_little_coverage_and_too_much_change() -> None:
    assert failed(replace(LIVE, products=10), changed=0.95) == ["coverage", "churn"]
    assert failed(replace(LIVE, products=30)) == []  # 0.5 of the live ones


def test_fewer_people_or_shorter_lists_are_refused() -> None:
    assert failed(people=(79, 100)) == ["people"]
    assert failed(people=(80, 100)) == []
    assert failed(replace(LIVE, length=7.9)) == ["length"]


def test_dearer_lists_are_refused() -> None:
    assert failed(replace(LIVE, tiers={"budget": 0.2, "mid": 0.3, "premium": 0.5})) == ["price_mix"]  # 0.3 moved
    assert (
        failed(replace(LIVE, tiers={"budget": 0.3, "mid": 0.3, "premium": 0.4})) == []
    )  # 0.2, out of here and in there
    assert failed(replace(LIVE, price=LIVE.price * 100)) == ["price"]
    assert failed(replace(LIVE, price=LIVE.price / 100)) == ["price"]


def test_nothing_that_is_not_offered() -> None:
    assert failed(replace(LIVE, out_of_stock=0.01)) == ["stock"]
    assert failed(replace(LIVE, out_of_stock=0.01), knobs=Promotion(out_of_stock_at_most=0.01)) == []


def test_the_first_day_has_nothing_to_be_held_against_but_what_is_popular_and_in_stock() -> None:
    def first(today: ListFacts) -> list[str]:
        return failed(today, live=None, changed=None, people=(100, None), compared={})

    assert first(LIVE) == []
    assert first(replace(LIVE, out_of_stock=0.5)) == ["stock"]


def test_every_rule_says_what_it_found() -> None:
    made = judge({"champion": EVEN}, replace(LIVE, products=6), LIVE, 0.5, (90, 100), KNOBS)
    told = {one.rule: one.says for one in made}
    assert told["coverage"] == "products on anybody's list: 6, 0.10 times the live 60 (at least 0.5)"
    assert told["churn"] == "50.0% of the live places hold a product that today's list lacks (at most 90.0%)"
    assert told["people"] == "people with a list: 90, 0.90 times the live 100 (at least 0.8)"
    assert told["no_worse_than_champion"] == (
        "NDCG@10 on the test window differs from that of champion by +0.0000 [-0.0100, +0.0100], paired over 500 "
        "people; 0.0060 may be lost"
    )
    assert told["no_worse_than_popularity"].endswith("the shop is too young for a test window")
    frame = table(made)
    assert frame.equals(PROMOTION.conform(frame))
    assert frame["rule"].is_unique().all()


def test_a_refusal_names_each_rule_and_what_stays_live_and_a_day_can_be_accepted() -> None:
    made = judge({"champion": EVEN}, replace(LIVE, products=6, out_of_stock=0.5), LIVE, 0.5, (100, 100), KNOBS)
    refused = decide(made, "generation 7 for 2024-03-01", accepted=False)
    assert (refused.passed, refused.stops) == (False, True)
    assert refused.says == (
        "coverage: products on anybody's list: 6, 0.10 times the live 60 (at least 0.5). "
        "stock: 50.0% of the places hold a product that is not offered (at most 0.0%). "
        "generation 7 for 2024-03-01 stays live. "
        "If this is right all the same, name the day in promotion.accept_days of home.toml and run it again."
    )
    accepted = decide(made, "generation 7", accepted=True)
    assert (accepted.passed, accepted.stops) == (False, False)
    assert accepted.says.endswith("Accepted by promotion.accept_days")
    fine = judge({"champion": EVEN}, LIVE, LIVE, 0.5, (100, 100), KNOBS)
    assert decide(fine, "generation 7", accepted=False).says == "every rule holds against generation 7"


def test_facts_of_lists_as_they_can_be_counted_by_hand() -> None:
    served = pl.DataFrame(
        {
            "person_key": ["p", "p", "p", "q", "q"],
            "product_id": ["a", "b", "c", "a", "d"],
            "price_micros": [MICROS, 2 * MICROS, 9 * MICROS, 4 * MICROS, 4 * MICROS],
        }
    )
    known = rows(
        CATALOG,
        [
            {"product_id": "a", "in_stock": True},
            {"product_id": "b", "stock_level": 0},
            {"product_id": "d", "not_recommendable": "price_missing"},
        ],
    )
    tiers = pl.DataFrame({"product_id": ["a", "b", "c"], "price_tier": ["budget", "mid", None]})
    assert ListFacts.of(served, known, tiers) == ListFacts(
        people=2, products=4, length=5 / 2, tiers={"budget": 2 / 5, "mid": 1 / 5, "premium": 0.0},
        price=(1 + 2 + 9 + 4 + 4) * MICROS / 5,
        out_of_stock=3 / 5,  # b is sold out, c is not in the catalogue, d has no price
    )  # fmt: skip


def test_only_people_with_both_lists_change() -> None:
    live = pl.DataFrame({"person_key": ["p", "p", "gone"], "product_id": ["a", "b", "a"]})
    assert churn(pl.DataFrame({"person_key": ["p", "new"], "product_id": ["b", "z"]}), live) == 1 / 2
    assert churn(pl.DataFrame({"person_key": ["new"], "product_id": ["z"]}), live) is None


def test_what_is_compared_is_the_published_lists_on_the_test_window() -> None:
    about = {"target": "all", "metric": "ndcg", "k": 10, "difference": 0.1, "low": 0.0, "high": 0.2, "people": 9}
    made = rows(
        COMPARISONS,
        [
            {"split": split, "model": model, "baseline": baseline} | about
            for split in ("test", "test-1", "validation")
            for model in ("published", "blend")
            for baseline in ("popularity", "champion")
        ],
    )
    figures = rows(
        EVALUATION,
        [
            {"split": split, "model": model, "target": target, "metric": "ndcg", "k": 10, "value": value}
            for split, target, value in (("test", "all", 0.3), ("test", "new", 0.1), ("validation", "all", 0.2))
            for model in ("popularity", "champion")
        ],
    )
    found = Compared.among(made, figures, "ndcg", 10)
    assert set(found) == {"popularity", "champion"}
    assert found["champion"] == Compared("champion", "NDCG@10", 0.1, 0.0, 0.2, 9, 0.3)
    assert Compared.among(made, figures, "ndcg", 5) == {}


def test_a_reference_stays_until_a_search_or_a_hand_makes_another() -> None:
    knobs: dict[str, object] = {"als": {"factors": 32}}
    assert new_reference(knobs, knobs, by_hand=False) is None
    assert new_reference(knobs, {}, by_hand=False) == "without the knobs of the search before"
    assert new_reference(knobs, knobs, by_hand=True) == "accepted by promotion.accept_days"
    named = {"champion": "recsys/9", "reference": "recsys/1 of 2024-03-01, the first that went live"}
    made = judge({"reference": replace(EVEN, baseline="reference")}, LIVE, LIVE, 0.5, (100, 100), KNOBS, named)
    told = {one.rule: one.says for one in made}
    assert told["no_worse_than_reference"] == (
        "NDCG@10 on the test window differs from that of reference (recsys/1 of 2024-03-01, the first that went live) "
        "by +0.0000 [-0.0100, +0.0100], paired over 500 people; 0.0060 may be lost"
    )
