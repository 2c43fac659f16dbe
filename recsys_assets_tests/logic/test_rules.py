"""Level 2's rules on lists whose answers are written out; and what it records of them."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.choices import Choices
from recsys_assets.logic.ranking import Ranked, Ranking
from recsys_assets.logic.rules import DROPPED
from recsys_assets.stores.quality import suites, verdicts_of
from recsys_assets.stores.quality.suites import beside
from recsys_assets.tables import (
    CANDIDATES,
    CATALOG,
    INTERACTIONS,
    ITEM_STATS,
    LISTS,
    MICROS,
    REPURCHASE_CYCLES,
    RULE_EFFECTS,
    USER_PROFILES,
)
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import rows

DAY = date(2024, 12, 31)
REPEATS = Choices(True, 1.0, 1.0, ((0.0, 1.0), (0.0, 0.5)), ((0.0, 1.0), (0.0, 0.5)))
NO_PRICES: dict[str, Any] = {"price_sensitivity": {"enabled": False}, "upsell": {"enabled": False}}


def product(name: str, price: float = 4, **more: object) -> dict[str, object]:
    return {"product_id": name, "unit_price_micros": round(price * MICROS)} | more


def ranked(
    scores: dict[str, float],
    products: list[dict[str, object]],
    *,
    bought: dict[str, int] | None = None,
    cycles: dict[str, float] | None = None,
    usual: float | None = 4,
    segment: str | None = None,
    choices: Choices = REPEATS,
    people: tuple[str, ...] = ("p",),
    **knobs: Any,
) -> Ranked:
    """Lists of people who are all alike; ``bought`` is days ago."""
    bought = bought or {}
    profile: dict[str, object] = {"average_item_price_micros": usual and round(usual * MICROS)}
    made = Ranking(
        rows(CATALOG, products),
        ITEM_STATS.empty(),
        rows(
            INTERACTIONS,
            [
                {"person_key": person, "product_id": name, "purchases": 1, "last_purchase_date": DAY - timedelta(ago)}
                for person in people
                for name, ago in bought.items()
            ],
        ),
        rows(USER_PROFILES, [profile | {"person_key": person, "spending_segment": segment} for person in people]),
        rows(REPURCHASE_CYCLES, [{"product_id": name, "cycle_days": days} for name, days in (cycles or {}).items()]),
        as_of=DAY,
        choices=choices,
        tuning=Tuning(**knobs),
    ).rank(
        rows(
            CANDIDATES,
            [
                {"person_key": person, "product_id": name, "score": score, "purchased": name in bought,
                 "similar_owned": 0}
                for person in people for name, score in scores.items()
            ],
        )
    )  # fmt: skip
    assert made.lists.equals(LISTS.conform(made.lists))
    assert made.effects.equals(RULE_EFFECTS.conform(made.effects))
    return made


def order(made: Ranked) -> list[str]:
    return made.lists["product_id"].to_list()


def served(made: Ranked) -> list[str]:
    return made.lists.drop_nulls("position").sort("position")["product_id"].to_list()


def dropped(made: Ranked) -> dict[str, str]:
    return dict(made.effects.drop_nulls("dropped_by").select("product_id", "dropped_by").rows())


def test_products_within_the_budget_gain_and_those_beyond_it_lose() -> None:
    """Usual price 4, budget 1.5 × 4 = 6: 4.5 gains .1 × (.8 + .2 × 1/4), 6 gains .1, 12 keeps 6/12, 4 is left alone."""
    made = ranked(
        dict.fromkeys(("same", "dearer", "most", "beyond", "owned"), 0.5),
        [product("same"), product("dearer", 4.5), product("most", 6), product("beyond", 12), product("owned", 12)],
        bought={"owned": 90},
    )
    assert dict(made.lists.select("product_id", "score").rows()) == pytest.approx(
        {"most": 0.55, "dearer": 0.5425, "owned": 0.5, "same": 0.5, "beyond": 0.25}
    )
    assert order(made) == ["most", "dearer", "owned", "same", "beyond"]
    factors = {row["product_id"]: (row["price_factor"], row["upsell_factor"]) for row in made.effects.to_dicts()}
    assert factors == {
        "dearer": (1, pytest.approx(1.085)), "most": (1, pytest.approx(1.1)), "beyond": (0.5, 1),
    }  # fmt: skip


def test_who_has_no_usual_price_is_left_alone() -> None:
    made = ranked({"a": 0.5, "b": 0.4}, [product("a", 400), product("b", 5)], usual=None)
    assert made.lists["score"].to_list() == pytest.approx([0.5, 0.4])
    assert made.effects.is_empty()


def test_new_products_come_from_the_tiers_of_the_segment() -> None:
    """Nobody has done anything with any of them: the catalogue's prices alone say which is of which tier."""
    scores = {"dear": 0.9, "owned": 0.8, "middle": 0.7, "cheap": 0.3}
    prices = {"cheap": 1, "middle": 2, "dear": 9, "owned": 8}
    goods = [product(name, prices[name]) for name in scores]
    knobs: dict[str, Any] = {"bought": {"owned": 90}, "segment_filter": {"enabled": True}, **NO_PRICES}
    made = ranked(scores, goods, segment="small", **knobs)
    assert order(made) == ["owned", "middle", "cheap"]
    assert dropped(made) == {"dear": "segment"}
    assert order(ranked(scores, goods, segment="high", **knobs)) == list(scores)
    assert order(ranked(scores, goods, segment=None, **knobs)) == list(scores)


def test_what_was_bought_waits_for_its_cycle() -> None:
    """29 days of 30, 30 of 30, 20 of 10; no cycle known: 30."""
    scores = {"early": 0.9, "due": 0.8, "late": 0.7, "unknown": 0.6, "new": 0.5}
    goods = [product(name) for name in scores]
    bought = {"early": 29, "due": 30, "late": 20, "unknown": 29}
    cycles = {"early": 30.0, "due": 30.0, "late": 10.0, "new": 30.0}
    made = ranked(scores, goods, bought=bought, cycles=cycles, repurchase_cycle={"enabled": True})
    assert order(made) == ["due", "late", "new"]
    assert dropped(made) == {"early": "cycle", "unknown": "cycle"}
    sooner = {"enabled": True, "exclude_before": 0.5}
    assert order(ranked(scores, goods, bought=bought, cycles=cycles, repurchase_cycle=sooner)) == list(scores)
    assert order(ranked(scores, goods, bought=bought, cycles=cycles)) == list(scores)


def test_bans_stock_and_what_is_not_for_sale() -> None:
    why = {"banned": "banned", "none": "out_of_stock", "free": "price_missing", "ok": None}
    goods = [product(name, not_recommendable=reason) for name, reason in why.items()]
    made = ranked(dict.fromkeys(why, 0.5), goods, pins=tuple(why))
    assert order(made) == ["ok"]
    assert dropped(made) == {"banned": "banned", "none": "out_of_stock", "free": "not_for_sale"}


def test_no_segment_and_no_cycle_takes_out_what_is_pinned() -> None:
    goods = [product("dear", 9), product("bought", 8), product("cheap", 1)]
    knobs: dict[str, Any] = {"bought": {"bought": 3}, "segment": "small", **NO_PRICES}
    rules: dict[str, Any] = {"segment_filter": {"enabled": True}, "repurchase_cycle": {"enabled": True}}
    scores = {"dear": 0.9, "bought": 0.8, "cheap": 0.1}
    assert dropped(ranked(scores, goods, **knobs, **rules)) == {"dear": "segment", "bought": "cycle"}
    assert order(ranked(scores, goods, pins=("bought", "dear"), **knobs, **rules)) == ["bought", "dear", "cheap"]


def test_pins_lead_in_their_order_also_where_level_1_did_not_put_them_forward() -> None:
    goods = [product(name) for name in ("a", "b", "c", "d")]
    made = ranked({"a": 0.9, "b": 0.5}, goods, pins=("d", "b", "gone"), people=("p", "q"))
    assert order(made) == ["d", "b", "a"] * 2
    first = made.lists.row(0, named=True)
    assert (first["reason_code"], first["reason"], first["confidence"]) == ("pinned", "Chosen by the shop", None)
    assert (first["score"], first["position"], first["purchased"]) == (0, 1, False)
    assert made.effects.is_empty()


def test_a_pin_offers_what_was_bought_only_where_repeats_are_allowed() -> None:
    goods = [product("a"), product("b")]
    never = Choices(False, 1.0, 1.0)
    assert order(ranked({"a": 0.9}, goods, bought={"b": 90}, pins=("b",), choices=never)) == ["a"]
    made = ranked({"a": 0.9}, goods, bought={"b": 90}, pins=("b",))
    assert order(made) == ["b", "a"]
    assert made.lists["purchased"].to_list() == [True, False]
    assert made.lists["reason_code"].to_list() == ["bought_before", "taste"]


def test_one_product_per_parent_stays_and_a_pinned_one_before_a_better_one() -> None:
    goods = [product("red", parent_id="shirt"), product("blue", parent_id="shirt"), product("shirt"), product("hat")]
    scores = {"red": 0.9, "blue": 0.8, "shirt": 0.7, "hat": 0.6}
    made = ranked(scores, goods)
    assert order(made) == ["red", "hat"]  # the parent itself is one of them
    assert dropped(made) == {"blue": "variant", "shirt": "variant"}
    assert order(ranked(scores, goods, pins=("blue",))) == ["blue", "hat"]
    assert order(ranked(scores, goods, variants_at_most=0)) == list(scores)
    assert order(ranked(scores, goods, variants_at_most=2)) == ["red", "blue", "hat"]


def test_unlike_products_come_sooner_where_diversity_is_wanted() -> None:
    """.5 × score ÷ .9 - .5 × likeness to a: b (all three) .444 - .5, c (the top) .278 - .167, d (nothing) .083 - 0."""
    goods = [
        product("a", category="x > y", brand="m"), product("b", category="x > y", brand="m"),
        product("c", category="x > z", brand="n"), product("d", category="w", brand="o"),
    ]  # fmt: skip
    scores = {"a": 0.9, "b": 0.8, "c": 0.5, "d": 0.15}
    made = ranked(scores, goods, diversity={"strength": 0.5})
    assert order(made) == ["a", "c", "d", "b"]
    assert made.effects.select("product_id", "score_place").rows() == [("b", 2), ("c", 3), ("d", 4)]
    assert order(ranked(scores, goods)) == ["a", "b", "c", "d"]
    assert order(ranked(scores, goods, diversity={"strength": 0.5}, pins=("d", "b"))) == ["d", "b", "c", "a"]


def test_caps_hold_in_the_served_list_alone() -> None:
    goods = [
        product("a", category="x", brand="m"), product("b", category="x", brand="n"),
        product("c", category="y", brand="m"), product("d", category="z"), product("e"), product("f"),
    ]  # fmt: skip
    scores = {name: 0.9 - place / 10 for place, name in enumerate("abcdef")}
    made = ranked(scores, goods, diversity={"category_cap": 1, "brand_cap": 1})
    assert order(made) == list("abcdef")
    assert served(made) == ["a", "d", "e", "f"]  # what has no category or brand is capped by none
    assert dropped(made) == {"b": "category_cap", "c": "brand_cap"}
    pinned = ranked(scores, goods, diversity={"category_cap": 1, "brand_cap": 1}, pins=("b", "a"))
    assert served(pinned) == ["b", "a", "d", "e", "f"]
    assert dropped(pinned) == {"c": "brand_cap"}


def test_repeats_give_way_to_new_products_that_may_be_served() -> None:
    """20 places, 5 of them for new products; the caps leave 2 of those, so 18 repeats are served."""
    old = [f"old{place:02}" for place in range(19)]
    new = [f"new{place}" for place in range(5)]
    goods = [product(name) for name in old] + [product(name, category=str(min(n, 1))) for n, name in enumerate(new)]
    scores = {name: 1 - place / 100 for place, name in enumerate([*old, *new])}
    knobs: dict[str, Any] = {"served_list_size": 20, "served_new_at_least": 5, "bought": dict.fromkeys(old, 90)}
    made = ranked(scores, goods, diversity={"category_cap": 1}, **knobs)
    assert served(made) == [*old[:18], "new0", "new1"]
    assert dropped(made) == {"old18": "room_for_new"}
    assert served(ranked(scores, goods, **knobs)) == [*old[:15], *new]
    pins = tuple(reversed(old[:18]))
    assert served(ranked(scores, goods, pins=pins, **knobs)) == [*pins, "new0", "new1"]


def test_people_are_independent_of_each_other_and_of_the_order_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    goods = [
        product(f"i{place}", 2 + place, category=f"c{place % 3}", brand=f"b{place % 2}", parent_id=f"v{place // 2}")
        for place in range(12)
    ]
    scores = {f"i{place}": (place * 7 % 12) / 12 for place in range(12)}
    knobs: dict[str, Any] = {
        "bought": {"i3": 4, "i5": 40}, "pins": ("i1",), "repurchase_cycle": {"enabled": True},
        "diversity": {"strength": 0.3, "category_cap": 2},
    }  # fmt: skip
    alone = ranked(scores, goods, **knobs)
    backwards = ranked(dict(reversed(scores.items())), goods[::-1], **knobs)
    assert backwards.lists.equals(alone.lists)
    assert backwards.effects.sort("product_id").equals(alone.effects.sort("product_id"))
    monkeypatch.setattr("recsys_assets.logic.ranking.PEOPLE_AT_ONCE", 2)
    together = ranked(scores, goods, people=tuple("pqrst"), **knobs)
    for _, own in together.lists.group_by("person_key", maintain_order=True):
        assert own.drop("person_key").equals(alone.lists.drop("person_key"))


def test_nobody_has_no_list() -> None:
    made = ranked({}, [product("a")], pins=("a",))
    assert made.lists.is_empty()
    assert made.effects.is_empty()


@given(
    st.dictionaries(st.integers(0, 11), st.integers(1, 5), max_size=12),
    st.fixed_dictionaries(
        {
            "variants_at_most": st.integers(0, 2),
            "diversity": st.fixed_dictionaries(
                {
                    "strength": st.sampled_from([0.0, 0.1, 0.5]),
                    "category_cap": st.integers(0, 2),
                    "brand_cap": st.integers(0, 2),
                }
            ),
            "pins": st.lists(st.sampled_from(["i0", "i4", "i7"]), unique=True).map(tuple),
            "bans": st.lists(st.sampled_from(["i0", "i1"]), unique=True).map(tuple),
        }
    ),
)
def test_whatever_the_knobs_a_list_keeps_its_rules(picked: dict[int, int], knobs: dict[str, Any]) -> None:
    goods = [
        product(f"i{place}", category=f"c{place % 3}", brand=f"b{place % 2}", parent_id=f"v{place // 3}",
                not_recommendable="banned" if f"i{place}" in knobs["bans"] else None)
        for place in range(12)
    ]  # fmt: skip
    made = ranked({f"i{place}": score / 5 for place, score in picked.items()}, goods, **NO_PRICES, **knobs)
    listed = made.lists.join(rows(CATALOG, goods).select("product_id", "parent_id", "brand"), on="product_id")
    shown, cap = listed.drop_nulls("position"), knobs["diversity"]
    assert made.lists["rank"].to_list() == list(range(1, made.lists.height + 1))
    assert shown.sort("rank")["position"].to_list() == list(range(1, shown.height + 1))
    assert not set(order(made)) & set(knobs["bans"])
    for column, most, of in (
        ("parent_id", knobs["variants_at_most"], listed),
        ("category", cap["category_cap"], shown),
        ("brand", cap["brand_cap"], shown),
    ):
        for _, own in of.group_by(column):
            pinned = 0 if column == "parent_id" else own["product_id"].is_in(list(knobs["pins"])).sum()
            assert most == 0 or own.height <= max(most, pinned)
    asked = {f"i{place}" for place in picked} | (set(knobs["pins"]) if picked else set())
    assert asked == set(order(made)) | {name for name, rule in dropped(made).items() if DROPPED.index(rule) <= 6}
    assert set(served(made)) == set(order(made)) - set(dropped(made))
    first = [name for name in knobs["pins"] if name in order(made)]
    assert order(made)[: len(first)] == first
    # What the night's check asks of the order, whatever reorders it.
    suite = suites.lists(Tuning.model_validate(NO_PRICES | knobs), 1)
    broken = {verdict.name for verdict in verdicts_of(beside(made.lists, rows(CATALOG, goods), "product_id"), suite)
              if not verdict.ok}  # fmt: skip
    assert not broken & {"score_falls_with_rank", "pins_lead", "rank_without_gaps", "position_without_gaps"}
