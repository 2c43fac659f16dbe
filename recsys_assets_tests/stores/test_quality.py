"""Every suite: what is right passes, each rule catches what was planted for it and only that, and pages hold no key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_assets.identity import KeyRing
from recsys_assets.stores.quality import Expectation, Suite, record, severity_of, suites, validate, verdicts_of
from recsys_assets.tables import (
    CATALOG,
    CLEAN_EVENTS,
    LISTS,
    MICROS,
    NEXT_ITEMS,
    POPULAR_ITEMS,
    SIMILAR_ITEMS,
    USER_PROFILES,
    Table,
)
from recsys_assets.tuning import Diversity, Tuning

FIRST, LAST = date(2017, 3, 1), date(2017, 3, 2)
KEYS = KeyRing(b"a secret of 16 bytes")
TUNING = Tuning()
Row = dict[str, Any]


def frame(table: Table, rows: Sequence[Row]) -> pl.DataFrame:
    made = pl.DataFrame(rows, schema_overrides=table.columns)
    return table.conform(pl.concat([table.empty(), made], how="diagonal"))


@dataclass(frozen=True)
class Case:
    """Good rows of one table, and per rule what it catches: changes of the row ``at``, and how many rows break it."""

    suite: Suite
    table: Table
    good: list[Row]
    planted: Mapping[str, Row | tuple[Row, int]]
    at: int = 3
    beside: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows

    def rows(self, change: Row) -> pl.DataFrame:
        changed = [row | (change if n == self.at else {}) for n, row in enumerate(self.good)]
        return self.beside(frame(self.table, changed))


EVENT: Row = {
    "event_type": "purchase",
    "event_time": datetime(2017, 3, 1, 23, 30, tzinfo=UTC),
    "user_key": KEYS.user_key("7"),
    "session_id": KEYS.session_key("7"),
    "product_id": "milk",
    "quantity": 2,
    "unit_price_micros": 1_990_000,
    "event_date": LAST,  # half past midnight in Berlin
}
EVENTS = Case(
    suites.clean_events((FIRST, LAST)),
    CLEAN_EVENTS,
    [{"event_id": f"e{n}"} | EVENT for n in range(5)],
    {
        "event_id_is_set": {"event_id": None},
        "event_id_is_unique": ({"event_id": "e1"}, 2),
        "event_type_is_set": {"event_type": None},
        "event_type_is_known": {"event_type": "teleport"},
        "event_time_is_set": {"event_time": None},
        "event_date_is_set": {"event_date": None},
        "event_date_in_window": {"event_date": date(2017, 2, 28)},
        "event_date_near_event_time": {"event_time": datetime(2017, 2, 28, tzinfo=UTC)},
        "person_is_set": {"user_key": None},
        "purchase_has_product": {"product_id": None},
        "quantity_is_not_zero": {"quantity": 0},
        "unit_price_not_negative": {"unit_price_micros": -1},
        "list_price_not_negative": {"list_price_micros": -1},
        "rating_from_1_to_5": {"rating": 5.5},
    },
)
PRODUCTS = frame(
    CATALOG,
    [
        {
            "product_id": f"p{n}",
            "name": "Product",
            "category": "Bread > Rye",
            "unit_price_micros": (n + 1) * MICROS,
            "list_price_micros": (n + 1) * MICROS,
            "updated_date": LAST,
        }
        for n in range(12)
    ]
    + [{"product_id": "gone", "unit_price_micros": MICROS, "not_recommendable": "out_of_stock"}],
)
CATALOGUE = Case(
    suites.catalog(LAST),
    CATALOG,
    PRODUCTS.to_dicts(),
    {
        "product_id_is_set": {"product_id": None},
        "product_id_is_unique": ({"product_id": "p1"}, 2),
        "not_recommendable_is_known": {"not_recommendable": "ugly"},
        "offered_has_price": {"unit_price_micros": 0},
        "unit_price_in_bounds": {"unit_price_micros": -1, "not_recommendable": "price_missing"},
        "list_price_in_bounds": {"list_price_micros": 10**16},
        "price_not_above_list_price": {"list_price_micros": 1},
        "rating_from_0_to_5": {"rating": 6.0},
        "updated_date_not_in_future": {"updated_date": date(2017, 3, 3)},
    },
)
LISTED: list[Row] = [
    {
        "person_key": KEYS.user_key(person),
        "rank": n + 1,
        "product_id": f"p{n}",
        "score": 1 - n / 10,
        "confidence": 0.1,
        "price_micros": (n + 1) * MICROS,
        "reason_code": "taste",
        "reason": "Picked from what people with your taste buy",
        "position": None if n == 1 else n + (n == 0),
    }
    for person in ("7", "8")
    for n in range(4)
]
LIST_OF_ALL = Case(
    suites.lists(TUNING, 2),
    LISTS,
    LISTED,
    {
        "person_is_set": ({"person_key": None, "rank": 1, "position": 1}, 1),
        "rank_without_gaps": {"rank": 5},
        "score_falls_with_rank": {"score": 0.9},
        "no_product_twice": ({"product_id": "p1", "price_micros": 2 * MICROS}, 2),
        "product_is_known": {"product_id": "stranger"},
        "product_is_recommendable": {"product_id": "gone", "price_micros": MICROS},
        "price_is_the_catalogues": {"price_micros": MICROS},
        "score_is_a_number": {"score": float("nan")},
        "confidence_is_a_share": {"confidence": 1.5},
        "reason_is_set": {"reason": " "},
        "reason_code_is_known": {"reason_code": "magic"},
        "position_without_gaps": {"position": 4},
    },
    beside=lambda rows: suites.beside(rows, PRODUCTS, "product_id"),
)
SIMILAR = Case(
    suites.similar_items(),
    SIMILAR_ITEMS,
    [
        {
            "product_id": product,
            "rank": n,
            "similar_product_id": f"p{n}",
            "score": 1 / n,
            "confidence": 0.5,
            "price_micros": (n + 1) * MICROS,
        }
        for product in ("p10", "p11")
        for n in range(1, 5)
    ],
    {
        "rank_without_gaps": {"rank": 6},
        "score_falls_with_rank": {"score": 0.9},
        "no_product_twice": ({"similar_product_id": "p1", "price_micros": 2 * MICROS}, 2),
        "product_is_known": {"similar_product_id": "stranger"},
        "product_is_recommendable": {"similar_product_id": "gone", "price_micros": MICROS},
        "price_is_the_catalogues": {"price_micros": MICROS},
        "not_itself": {"similar_product_id": "p10", "price_micros": 11 * MICROS},
        "confidence_is_a_share": {"confidence": -0.1},
    },
    beside=lambda rows: suites.beside(rows, PRODUCTS, "similar_product_id"),
)
NEXT = Case(
    suites.next_items(),
    NEXT_ITEMS,
    [
        {"product_id": product, "rank": n, "next_product_id": f"p{n}", "score": 2 / n}
        for product in ("p10", "p11")
        for n in range(1, 5)
    ],
    {
        "product_id_is_set": {"product_id": None, "rank": 1},
        "rank_without_gaps": {"rank": 6},
        "score_falls_with_rank": {"score": 1.9},
        "no_product_twice": ({"next_product_id": "p1"}, 2),
        "product_is_known": {"next_product_id": "stranger"},
        "product_is_recommendable": {"next_product_id": "gone"},
        "not_itself": {"next_product_id": "p10"},
        "score_above_0": {"score": -0.1},
    },
    beside=lambda rows: suites.beside(rows, PRODUCTS, "next_product_id"),
)
POPULAR = Case(
    suites.popular_items(TUNING),
    POPULAR_ITEMS,
    [
        {
            "category": category,
            "rank": n + 1,
            "product_id": f"p{n}",
            "score": 1 - n / 10,
            "buyers": 9,
            "price_micros": (n + 1) * MICROS,
            "reason": "Bought by 9 customers",
        }
        for category in ("", "Bread")
        for n in range(4)
    ],
    {
        "rank_without_gaps": {"rank": 6},
        "no_product_twice": ({"product_id": "p1", "price_micros": 2 * MICROS}, 2),
        "product_is_recommendable": {"product_id": "gone", "price_micros": MICROS},
        "enough_buyers": {"buyers": 4},
        "reason_is_set": {"reason": None},
    },
    beside=lambda rows: suites.beside(rows, PRODUCTS, "product_id"),
)
PROFILES = Case(
    suites.user_profiles(LAST),
    USER_PROFILES,
    [
        {
            "person_key": KEYS.user_key(str(n)),
            "user_type": "regular",
            "spending_segment": "high",
            "orders": 2,
            "purchases": 3,
            "last_visit_date": LAST,
            "conversion_rate": 0.5,
        }
        for n in range(5)
    ],
    {
        "person_is_set": {"person_key": None},
        "person_is_unique": ({"person_key": KEYS.user_key("1")}, 2),
        "user_type_is_known": {"user_type": "alien"},
        "spending_segment_is_known": {"spending_segment": "rich"},
        "purchases_not_negative": {"purchases": -1, "orders": 0},
        "orders_not_above_purchases": {"orders": 4},
        "conversion_is_a_share": {"conversion_rate": 1.5},
        "last_visit_not_in_future": {"last_visit_date": date(2017, 3, 3)},
    },
)
CASES = {case.table.name: case for case in (EVENTS, CATALOGUE, LIST_OF_ALL, SIMILAR, NEXT, POPULAR, PROFILES)}


def failed(verdicts: list[Expectation]) -> dict[str, str]:
    return {verdict.name: verdict.observed for verdict in verdicts if not verdict.ok}


@pytest.mark.parametrize("name", CASES)
def test_what_is_right_passes_and_each_rule_catches_what_was_planted(name: str) -> None:
    case = CASES[name]
    assert failed(verdicts_of(case.rows({}), case.suite)) == {}
    for rule, told in case.planted.items():
        change, count = told if isinstance(told, tuple) else (told, 1)
        caught = failed(verdicts_of(case.rows(change), case.suite))
        assert caught.pop(rule) == f"{count} of {len(case.good)} rows break it", rule
        assert set(caught) <= FOLLOWS.get(rule, set()), rule


# What else is broken where a row of a list leaves its place.
FOLLOWS = {
    "person_is_set": {"nobody_is_missing", "rank_without_gaps", "position_without_gaps", "score_falls_with_rank"},
    "rank_without_gaps": {"position_without_gaps"},
    "score_is_a_number": {"score_falls_with_rank"},
}


PINNED = TUNING.model_copy(update={"pins": ("p3", "p1")})
DIVERSE = TUNING.model_copy(update={"diversity": Diversity(strength=0.1), "served_list_size": 3})


def order_of(tuning: Tuning, scores: dict[str, float]) -> set[str]:
    """Rules of order that a list with these products and scores breaks."""
    made = [{"person_key": "p", "rank": n, "product_id": p, "score": s} for n, (p, s) in enumerate(scores.items(), 1)]
    suite = suites.lists(tuning, 1)
    caught = failed(verdicts_of(suites.beside(frame(LISTS, made), PRODUCTS, "product_id"), suite))
    return set(caught) & {"score_falls_with_rank", "pins_lead", "rank_without_gaps"}


def test_pins_lead_a_list_in_their_order_and_the_others_fall() -> None:
    assert order_of(PINNED, {"p3": 0.1, "p1": 0.0, "p2": 0.9, "p4": 0.8}) == set()
    assert order_of(PINNED, {"p1": 0.1, "p2": 0.9}) == set()  # a pin that the person may not be shown
    assert order_of(PINNED, {"p1": 0.0, "p3": 0.1, "p2": 0.9}) == {"pins_lead"}
    assert order_of(PINNED, {"p3": 0.1, "p2": 0.9, "p1": 0.0}) == {"pins_lead"}
    assert order_of(PINNED, {"p3": 0.1, "p2": 0.8, "p4": 0.9}) == {"score_falls_with_rank"}


def test_unlikeness_reorders_the_served_products_no_further_than_its_strength() -> None:
    assert order_of(DIVERSE, {"p0": 0.9, "p1": 0.75, "p2": 0.85, "p3": 0.8, "p4": 0.7}) == set()  # by up to .1 ÷ .9
    assert order_of(DIVERSE, {"p0": 0.9, "p1": 0.75, "p2": 0.86, "p3": 0.8}) == {"score_falls_with_rank"}
    assert order_of(DIVERSE, {"p0": 0.8, "p1": 0.9, "p2": 0.7}) == {"score_falls_with_rank"}  # the first is the best
    assert order_of(DIVERSE, {"p0": 0.9, "p1": 0.8, "p2": 0.7, "p3": 0.6, "p4": 0.61}) == {"score_falls_with_rank"}


def all_planted(case: Case) -> pl.DataFrame:
    """Good rows, and after them one of each kind of bad ones."""
    changes = [told[0] if isinstance(told, tuple) else told for told in case.planted.values()]
    return pl.concat([case.rows({}), *(case.rows(change)[case.at : case.at + 1] for change in changes)])


def test_great_expectations_says_the_same_of_every_planted_row_and_shows_no_key(tmp_path: Path) -> None:
    verdicts = []
    for case in CASES.values():
        # `validate` itself asserts that Great Expectations and the exact counts agree.
        verdicts += validate(all_planted(case), case.suite, tmp_path, "2017-03-02", sample_rows=3)
        assert set(failed(verdicts)) >= set(case.planted) - {"rank_without_gaps", "position_without_gaps"}
    needles = [KEYS.user_key(str(n)) for n in range(9)] + [KEYS.session_key("7"), "stranger", "teleport", "alien"]
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] + [repr(verdicts).encode()]
    assert not [needle for needle in needles for content in everything if needle.encode() in content]


def test_pages_of_all_suites_accumulate_below_one_index_and_are_replaced(tmp_path: Path) -> None:
    docs = tmp_path / "data docs"
    for case in (EVENTS, POPULAR, EVENTS):
        validate(case.rows({}), case.suite, docs, "2017-03-02")
    verdict = Expectation("no_bots", "", False, "warn", "1 bot made 7 events & more", "people only")
    record("outliers", "Against the weeks before", [verdict], docs, "2017-03-02")
    index = (docs / "index.html").read_text()
    assert index.count("<h2 ") == 3
    assert "href='clean_events/index.html'" in index
    assert "href='popular_items/index.html'" in index
    assert "href='outliers/index.html'" not in index
    assert "<td class=warning>warning</td><td>people only</td><td>1 bot made 7 events &amp; more</td>" in index
    assert sorted(path.name for path in docs.iterdir()) == ["clean_events", "index.html", "outliers", "popular_items"]
    assert "Data Docs" in (docs / "clean_events/index.html").read_text()
    assert len(list((docs / "clean_events").glob("validations/**/*.html"))) == 1
    assert "src='/" not in index.replace('"', "'")


def test_rules_for_a_whole_table() -> None:
    nothing = verdicts_of(CLEAN_EVENTS.empty(), EVENTS.suite)
    assert failed(nothing) == {"has_rows": "0 rows"}
    assert severity_of(nothing) == "warn"
    assert severity_of(verdicts_of(EVENTS.rows({}), EVENTS.suite)) is None

    unnamed = PRODUCTS.with_columns(pl.when(pl.col("product_id") == "p1").then("name").alias("name"))
    assert failed(verdicts_of(unnamed, CATALOGUE.suite)) == {
        "names_cover_the_offer": "1 of 12 products that may be listed have a name"
    }
    # A shop that names nothing (its catalogue is derived) knows that.
    assert failed(verdicts_of(unnamed.with_columns(name=pl.lit(None, pl.String)), CATALOGUE.suite)) == {}
    closed = PRODUCTS.with_columns(not_recommendable=pl.lit("out_of_stock"))
    assert failed(verdicts_of(closed, CATALOGUE.suite)) == {
        "something_is_offered": "0 of 13 products may be listed, 13 out_of_stock"
    }

    lost = verdicts_of(LIST_OF_ALL.rows({}), suites.lists(TUNING, 5))
    assert failed(lost) == {"nobody_is_missing": "3 people have candidates and no list"}
    ruled = verdicts_of(LIST_OF_ALL.rows({}), suites.lists(TUNING, 5, emptied=3))
    assert failed(ruled)["rules_leave_something"].startswith("of 3 people with candidates the rules take out every one")
    assert (len(failed(ruled)), severity_of(ruled)) == (1, "warn")
    nobody = verdicts_of(LIST_OF_ALL.beside(LISTS.empty()), suites.lists(TUNING, 5, emptied=5))
    assert list(failed(nobody)) == ["rules_leave_something"]
    empty = POPULAR.beside(POPULAR_ITEMS.empty())
    lonely = verdicts_of(empty, POPULAR.suite)
    assert failed(lonely) == {
        "overall_list_is_not_empty": "0 popular products overall: k_anonymity asks for 5 people who bought or "
        "looked at one in 365 days"
    }
    assert severity_of(lonely) == "warn"  # personal lists are there all the same


def test_a_list_with_too_many_or_no_served_products_is_caught() -> None:
    small = suites.lists(TUNING.model_copy(update={"served_list_size": 2}), 2)
    assert failed(verdicts_of(LIST_OF_ALL.rows({}), small)) == {
        "served_list_is_no_longer_than_asked": "2 of 8 rows break it"
    }
    first = pl.col("person_key") == KEYS.user_key("7")
    unserved = LIST_OF_ALL.rows({}).with_columns(position=pl.when(~first).then("position"))
    assert failed(verdicts_of(unserved, LIST_OF_ALL.suite)) == {"somebody_is_served_nothing": "4 of 8 rows break it"}


def test_a_sample_still_sees_the_one_bad_row_and_the_far_twin(tmp_path: Path) -> None:
    rows: list[Row] = [{"event_id": f"e{n}"} | EVENT for n in range(5_000)]
    rows[777]["quantity"], rows[4_999]["event_id"] = 0, "e11"
    caught = validate(frame(CLEAN_EVENTS, rows), EVENTS.suite, tmp_path, "", sample_rows=100)
    assert failed(caught) == {
        "event_id_is_unique": "2 of 5,000 rows break it",
        "quantity_is_not_zero": "1 of 5,000 rows break it",
    }
    backwards = validate(frame(CLEAN_EVENTS, rows[::-1]), EVENTS.suite, tmp_path, "", sample_rows=100)
    assert backwards == caught


def test_validation_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    validate(EVENTS.rows({}), EVENTS.suite, tmp_path, "2017-03-02")
    assert capfd.readouterr() == ("", "")
