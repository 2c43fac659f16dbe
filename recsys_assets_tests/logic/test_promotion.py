from dataclasses import replace

import polars as pl
import pytest

from recsys_assets.logic.promotion import Compared, ListFacts, churn, decide, judge, table
from recsys_assets.tables import CATALOG, COMPARISONS, MICROS, PROMOTION
from recsys_assets.tuning import Promotion
from recsys_assets_tests.models.builders import rows

KNOBS = Promotion()
LIVE = ListFacts(
    people=100, products=60, length=10.0, tiers={"budget": 0.5, "mid": 0.3, "premium": 0.2}, price=5.0 * MICROS,
    out_of_stock=0.0,
)  # fmt: skip
EVEN = Compared("champion", "NDCG@10", 0.0, -0.01, 0.01, 500)


def failed(today: ListFacts = LIVE, **other: object) -> list[str]:
    """Names of the rules that refuse ``today`` over `LIVE`."""
    given = {"compared": {"champion": EVEN}, "live": LIVE, "changed": 0.3, "people": (100, 100), "knobs": KNOBS} | other
    made = judge(today=today, **given)  # type: ignore[arg-type]  # each by its own name
    return [one.rule for one in made if not one.ok]


def test_lists_like_the_live_ones_pass() -> None:
    assert failed() == []


@pytest.mark.parametrize("baseline", ["popularity", "champion"])
def test_only_an_interval_that_lies_below_zero_is_worse(baseline: str) -> None:
    assert failed(compared={baseline: replace(EVEN, difference=-0.02, low=-0.03, high=-0.001)}) == [
        f"no_worse_than_{baseline}"
    ]
    assert failed(compared={baseline: replace(EVEN, difference=-0.02, low=-0.03, high=0.0)}) == []
    assert failed(compared={baseline: replace(EVEN, difference=-0.02, low=-0.03, high=-0.001, people=29)}) == []


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
        "NDCG@10 on the test window differs from that of champion by +0.0000 [-0.0100, +0.0100], paired over 500 people"
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
    found = Compared.among(made, "ndcg", 10)
    assert set(found) == {"popularity", "champion"}
    assert found["champion"] == Compared("champion", "NDCG@10", 0.1, 0.0, 0.2, 9)
    assert Compared.among(made, "ndcg", 5) == {}
