"""What people say, and what it leaves of a plan and of a slice."""

import time
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_assets.logic.copy_facts import Language
from recsys_assets.logic.offers import offers
from recsys_assets.logic.refining import KINDS, LONGEST, Refined, Turn, Wish, refined, understood
from recsys_assets.tuning import Tuning
from recsys_assets_tests.logic.test_offers import CANDIDATE, NO_BRACKET, PLAN, Row, plan, product


def kinds(text: str, language: Language = "en") -> list[str]:
    return [wish.kind if wish.value is None else f"{wish.kind} {wish.value}" for wish in understood(text, language)]


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("cheaper", ["cheaper"]),
        ("Something CHEAPER than that?!", ["cheaper"]),
        ("that's too expensive", ["cheaper"]),
        ("not so expensive, please", ["cheaper"]),
        ("better price", ["cheaper"]),
        ("more expensive", ["dearer"]),
        ("something better", ["dearer"]),
        ("another brand", ["other_brand"]),
        ("not this brand", ["other_brand"]),
        ("for a child", ["for_child"]),
        ("it is for my 5 year old kid", ["for_child"]),
        ("not this one", ["not_this"]),
        ("I don\u2019t like it", ["not_this"]),
        ("something else", ["other_category"]),
        ("another kind", ["other_category"]),
        ("only tea", ["only_category tea"]),
        ("show me only some green tea, please", ["only_category green tea"]),
        ("only rings and cheaper", ["only_category rings", "cheaper"]),
        ("only cheaper ones", ["cheaper"]),
        ("not this one, another brand, and cheaper for a child", ["not_this", "other_brand", "cheaper", "for_child"]),
        ("cheaper, much cheaper", ["cheaper"]),
        ("no, cheaper", ["cheaper"]),
        ("etwas Günstigeres", ["cheaper"]),  # the other language, where this one says nothing
    ],
)
def test_english(text: str, wishes: list[str]) -> None:
    assert kinds(text) == wishes


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("billiger", ["cheaper"]),
        ("Etwas GÜNSTIGERES bitte!", ["cheaper"]),
        ("etwas guenstigeres", ["cheaper"]),
        ("gu\u0308nstiger", ["cheaper"]),  # a u with two dots put on it
        ("das ist mir zu teuer", ["cheaper"]),
        ("nicht ganz so teuer", ["cheaper"]),
        ("teurer", ["dearer"]),
        ("was Besseres", ["dearer"]),
        ("eine andere Marke", ["other_brand"]),
        ("für ein Kind", ["for_child"]),
        ("fuer ein Maedchen", ["for_child"]),
        ("nicht das", ["not_this"]),
        ("Das gefällt mir nicht.", ["not_this"]),
        ("etwas ganz anderes", ["other_category"]),
        ("nur Tee", ["only_category tee"]),
        ("zeig mir nur Ohrringe, aber günstiger", ["only_category ohrringe", "cheaper"]),
        ("cheaper", ["cheaper"]),
    ],
)
def test_german(text: str, wishes: list[str]) -> None:
    assert kinds(text, "de") == wishes


@pytest.mark.parametrize(
    "text",
    ["", "   ", "hello there", "not cheaper", "I don't want anything cheaper", "nicht billiger", "better not", "only",
     "not only tea", "not that bad", "of a kind", "unlike the cheapskate", "\x00\ud800\u202e", "🎁🎁", "12345 !!"],
)  # fmt: skip
def test_what_is_no_wish(text: str) -> None:
    assert understood(text, "en") == ()


def test_invisible_letters_do_not_hide_a_wish() -> None:
    assert kinds("ch\u200bea\u00adper") == ["cheaper"]


def test_only_the_first_characters_are_read() -> None:
    assert kinds("x" * (LONGEST - 8) + " cheaper") == ["cheaper"]
    assert kinds("x" * (LONGEST - 7) + " cheaper") == []


@given(st.text(max_size=600), st.sampled_from(["en", "de"]))
def test_no_text_breaks_it(text: str, language: Language) -> None:
    for wish in understood(text, language):
        assert wish.kind in KINDS
        assert (wish.value is not None) == (wish.kind == "only_category")


@pytest.mark.parametrize("piece", ["not ", "fuer a ", "only ", "{", "\ufdfa", "\u0301", "a'", "nicht das ", "only a,"])
def test_hostile_texts_take_no_longer_than_others(piece: str) -> None:
    understood("warm", "de")
    before = time.process_time()
    understood(piece * LONGEST, "de")
    assert time.process_time() - before < 0.5  # some ms; what runs away takes minutes


SLICE: list[Row] = [
    product("green", 1, price_micros=2_000, brand="A", category="Food > Tea", parent_id="leaf"),
    product("black", 2, price_micros=1_000, brand="A", category="Food > Tea", parent_id="leaf"),
    product("mug", 3, price_micros=3_000, brand="B", category="Home > Mugs"),
    product("robot", 4, price_micros=1_700, brand="C", category="Home > Toys", name="Cheaper! Not this one"),
    product("jar", 5, price_micros=None, brand=None, category=None, name="Kinderdose"),
]


def after(*turns: Turn, rows: list[Row] | None = None, language: Language = "en", **planned: Any) -> Refined:
    priced = {"price_low_micros": 1_000, "price_middle_micros": 2_000, "price_high_micros": 4_000}
    made = plan(categories=["Food > Tea", "Home > Mugs"], category_probabilities=[0.4, 0.2], **(priced | planned))
    return refined(
        pl.DataFrame([made], PLAN), pl.DataFrame(SLICE if rows is None else rows, CANDIDATE), turns, language
    )


def left(made: Refined) -> list[str]:
    return made.products["product_id"].to_list()


def bracket(made: Refined) -> tuple[Any, ...]:
    return made.plan.select("price_low_micros", "price_middle_micros", "price_high_micros").row(0)


def test_cheaper_ends_a_tenth_below_the_cheapest_shown() -> None:
    made = after(Turn("cheaper", ("green", "mug")))
    assert bracket(made) == (450, 900, 1_800)  # 2000 - 200, and the rest by 1800 / 4000
    assert left(made) == ["black", "robot"]


def test_cheaper_than_what_it_is_about() -> None:
    assert left(after(Turn("cheaper than that", ("black", "mug"), about="mug"))) == ["green", "black", "robot"]


def test_cheaper_by_less_than_the_step_where_there_is_nothing_else() -> None:
    rows = [product("a", price_micros=1_000), product("b", price_micros=950)]
    made = after(Turn("cheaper", ("a",)), rows=rows)
    assert left(made) == ["b"]
    assert bracket(made)[2] == 999


def test_nothing_is_cheaper_than_the_least_price() -> None:
    rows = [product("a", price_micros=1), product("b", price_micros=1), product("free", price_micros=0)]
    assert after(Turn("cheaper", ("a",)), rows=rows).unmet == (Wish("cheaper"),)


def test_cheaper_again_and_again_until_there_is_nothing() -> None:
    turns = [Turn("cheaper", ("mug",)), Turn("cheaper", ("green", "robot")), Turn("cheaper", ("black",))]
    made = after(*turns)
    assert left(made) == ["black"]
    assert [answer.met for answer in made.answers] == [(Wish("cheaper"),), (Wish("cheaper"),), ()]
    assert made.unmet == (Wish("cheaper"),)
    assert_frame_equal(made.plan, after(*turns[:2]).plan)


def test_dearer_begins_a_tenth_above_the_dearest_shown() -> None:
    made = after(Turn("better", ("black", "green")))
    assert bracket(made) == (2_200, 2_966, 4_000)  # isqrt(2200 * 4000)
    assert left(made) == ["mug"]
    assert bracket(after(Turn("better", ("mug",)), rows=[*SLICE, product("x", price_micros=9_000)])) == (
        3_300, 4_041, 4_950,
    )  # fmt: skip


def test_who_changes_their_mind_about_prices_is_heard() -> None:
    made = after(Turn("cheaper", ("green",)), Turn("more expensive", ("robot",)))
    assert left(made) == ["green", "mug"]
    assert made.unmet == ()


def test_without_prices_shown_the_plan_s_middle_stands_in() -> None:
    assert left(after(Turn("cheaper"))) == ["black", "robot"]
    assert left(after(Turn("cheaper", ("jar", "unheard of")))) == ["black", "robot"]
    made = after(Turn("cheaper"), **NO_BRACKET)
    assert made.unmet == (Wish("cheaper"),)
    assert bracket(after(Turn("cheaper", ("mug",)), **NO_BRACKET)) == (None, None, None)


def test_another_brand() -> None:
    assert left(after(Turn("another brand", ("green",)))) == ["mug", "robot", "jar"]
    assert after(Turn("another brand", ("jar",))).unmet == (Wish("other_brand"),)  # of no brand
    assert left(after(Turn("another brand", ("green",)), Turn("another brand", ("mug",)))) == ["robot", "jar"]


def test_not_this_one_takes_its_family_along() -> None:
    assert left(after(Turn("not this one", ("mug", "green"), about="black"))) == ["mug", "robot", "jar"]
    assert left(after(Turn("not this one", ("mug", "green")))) == ["robot", "jar"]
    assert after(Turn("not this one")).unmet == (Wish("not_this"),)


def test_for_a_child_by_name_category_and_tags() -> None:
    assert left(after(Turn("for a child"))) == ["robot", "jar"]
    tagged = pl.DataFrame(SLICE[:3], CANDIDATE).with_columns(
        tags=pl.Series([["hot"], None, ["ab 3", "MAEDCHEN"]], dtype=pl.List(pl.String))
    )
    made = refined(pl.DataFrame([plan()], PLAN), tagged, [Turn("für Kinder")], "de")
    assert left(made) == ["mug"]
    assert after(Turn("for a child"), rows=SLICE[:3]).unmet == (Wish("for_child"),)


def test_only_a_category_in_the_singular_or_plural_and_by_any_part_of_its_path() -> None:
    made = after(Turn("only mug"))
    assert left(made) == ["mug"]
    assert made.plan.select("categories", "category_probabilities").row(0) == (["Home > Mugs"], [0.2])
    assert left(after(Turn("only home"))) == ["mug", "robot"]
    assert after(Turn("only home")).plan["category_probabilities"].to_list() == [[0.5, 0.5]]
    assert left(after(Turn("only tea from england"))) == ["green", "black"]
    assert after(Turn("only socks")).unmet == (Wish("only_category", "socks"),)
    assert left(after(Turn("only tea"), Turn("only toys"))) == ["robot"]  # the later one counts


def test_of_more_categories_than_a_plan_holds_it_prefers_none() -> None:
    rows = [product(str(i), i + 1, category=f"Home > {name}") for i, name in enumerate(["A", "B", "C", "D"])]
    assert after(Turn("only home"), rows=rows).plan["categories"].to_list() == [[]]


def test_something_else() -> None:
    made = after(Turn("something else", ("green",)))
    assert left(made) == ["mug", "robot", "jar"]
    assert made.plan.select("categories", "category_probabilities").row(0) == (["Home > Mugs"], [0.2])
    assert left(after(Turn("only tea"), Turn("something else", ("green",)))) == ["mug", "robot", "jar"]


def test_a_wish_that_nothing_is_left_for_changes_nothing_and_the_others_hold() -> None:
    made = after(Turn("only tea"), Turn("another brand and cheaper", ("green",)))
    assert made.answers[1].met == (Wish("cheaper"),)
    assert made.unmet == (Wish("other_brand"),)
    assert left(made) == ["black"]


def test_what_is_not_understood_is_said_and_changes_nothing() -> None:
    made = after(Turn("blah", ("green",)), Turn("cheaper", ("green",)))
    assert [answer.understood for answer in made.answers] == [False, True]
    still = after(Turn("blah", ("green",)))
    assert_frame_equal(still.plan, after().plan)
    assert left(still) == [row["product_id"] for row in SLICE]


def test_words_of_the_catalogue_are_no_wishes() -> None:
    made = after(Turn("hm", ("robot",), about="robot"))  # its name says "Cheaper! Not this one"
    assert not made.answers[0].understood
    assert len(left(made)) == len(SLICE)


def test_an_empty_slice() -> None:
    made = after(*(Turn(text, ("a",)) for text in ("cheaper", "another brand", "not this one", "only tea")), rows=[])
    assert made.products.is_empty()
    assert [len(answer.unmet) for answer in made.answers] == [1, 1, 1, 1]


def test_columns_that_hold_nothing_may_have_no_type() -> None:
    bare = ("category", "parent_id", "brand", "name", "price_micros")
    rows = pl.DataFrame([product("a") | dict.fromkeys(bare)])
    texts = ("cheaper", "better", "another brand", "for a child", "only tea", "something else", "not this one")
    made = refined(pl.DataFrame([plan(**NO_BRACKET)], PLAN), rows, [Turn(text, ("a",)) for text in texts])
    assert len(made.unmet) == len(texts)
    assert left(made) == ["a"]


def test_five_thousand_products_of_as_many_categories() -> None:
    rows = [product(str(i), i + 1, category=f"Top > Kind {'abcdefghij'[i % 10] * (i // 10 + 1)}") for i in range(5_000)]
    assert left(after(Turn("only ccc", ("1",)), rows=rows)) == ["22"]


TEXTS = st.sampled_from(
    ["cheaper", "better", "another brand", "for a child", "not this one", "only tea", "only toys", "something else",
     "cheaper for a child", "not cheaper", "hm"]
)  # fmt: skip
NAMES = [row["product_id"] for row in SLICE]
TURNS = st.lists(
    st.builds(
        Turn, TEXTS, st.lists(st.sampled_from([*NAMES, "other"]), unique=True).map(tuple),
        st.none() | st.sampled_from(NAMES),
    ),
    max_size=6,
)  # fmt: skip


@given(TURNS, st.permutations(SLICE))
def test_turns_never_empty_a_slice_nor_add_to_it(turns: list[Turn], mixed: list[Row]) -> None:
    made = after(*turns)
    assert left(made)
    assert len(made.answers) == len(turns)
    assert_frame_equal(made.products, after().products.filter(pl.col("product_id").is_in(left(made))))
    low, middle, high = bracket(made)
    assert 0 < low <= middle <= high
    total = made.plan["category_probabilities"].list.sum().item()
    assert 0 <= total <= 1
    other = after(*turns, rows=mixed)
    assert set(left(other)) == set(left(made))
    assert_frame_equal(other.plan, made.plan)


@given(
    st.lists(st.integers(1, 60) | st.none(), min_size=1, max_size=12), st.sampled_from(["cheaper", "better"]), st.data()
)
def test_after_cheaper_all_that_is_offered_is_cheaper_and_after_better_dearer(
    prices: list[int | None], text: str, data: st.DataObject
) -> None:
    rows = [product(f"{i:02}", i + 1, price_micros=price and price * 100) for i, price in enumerate(prices)]
    shown = data.draw(st.lists(st.sampled_from([row["product_id"] for row in rows]), min_size=1, unique=True))
    known = [row["price_micros"] for row in rows if row["product_id"] in shown and row["price_micros"]]
    if not known:
        return
    made = after(Turn(text, tuple(shown)), rows=rows)
    priced = [row["price_micros"] for row in rows if row["price_micros"]]
    fits = [price for price in priced if (price < min(known) if text == "cheaper" else price > max(known))]
    assert bool(made.unmet) == (not fits)
    if fits:
        offer = offers(made.plan, made.products, Tuning()).join(made.products, on="product_id")
        assert offer.height
        assert set(offer["price_micros"]) <= set(fits)
        assert bracket(made)[2] < min(known) if text == "cheaper" else bracket(made)[0] > max(known)
