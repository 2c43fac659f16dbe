"""The trees are the same every time, come back from a file as they were, and let nothing else in."""

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.logic.baskets import Shopping
from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.intents import companions, labelled
from recsys_assets.logic.plans import LEAST, Look, Plan, PlanningTerms, Visit, with_visit
from recsys_assets.models.naming import expected_f1, helped
from recsys_assets.models.planner import FILE, Examples, Planner, in_micros, named_intents
from recsys_assets.models.planning import example_of
from recsys_assets.models.visit_terms import LEAST_VISITS, Visited, fitted_terms
from recsys_assets.tables import MICROS
from recsys_assets.tuning import Planner as Knobs
from recsys_assets.tuning import Tuning
from recsys_assets_tests.logic.plan_shops import Row, cycles, day, did, goods, shop

TUNING = Tuning(k_anonymity=2, planner=Knobs(horizon_days=7))
KINDS = {"tea": 3.0, "bread": 2.0, "pans": 40.0, "Gift cards": 10.0}
GOODS = goods(
    {f"{kind} {tier}": (f"Shop > {kind}", price * (1 + tier)) for kind, price in KINDS.items() for tier in range(3)}
)
ORIGINS = (13, 20, 27)
PEOPLE = 120


def weekly(seed: int = 5, *, looks: bool = True) -> list[Row]:
    """Everybody orders once a week, of any category; before that they look twice at it, and put it into the cart."""
    dice = random.Random(seed)
    made = []
    for person in (f"p{number:02}" for number in range(PEOPLE)):
        for week in range(5):
            number, product = 7 * week + dice.randrange(7), dice.choice(GOODS["product_id"].to_list())
            price = KINDS[product[:-2]] * (1 + int(product[-1]))
            if looks:
                made += [did(person, product, number, "view", at=1), did(person, product, number, "view", at=2)]
                made.append(did(person, product, number, "add_to_cart", at=3))
            made.append(did(person, product, number, at=10, price=price))
    return made


def examples_of(seen: Shopping, origins: tuple[int, ...] = ORIGINS, tuning: Tuning = TUNING) -> list[Examples]:
    pairs = companions(seen.until(day(origins[0])), tuning)
    labels = labelled(seen, pairs, cycles({}), tuning)
    return [example_of(seen, labels, pairs, day(number), tuning) for number in origins]


@pytest.fixture(scope="module")
def examples() -> list[Examples]:
    return examples_of(shop(weekly(), GOODS))


@pytest.fixture(scope="module")
def planner(examples: list[Examples]) -> Planner:
    return Planner(TUNING).fit(examples[:-1])


def told(planner: Planner, example: Examples) -> list[Plan]:
    return planner.predict(example.states).plans()


def test_a_planner_comes_back_from_its_file(planner: Planner, examples: list[Examples], tmp_path: Path) -> None:
    planner.save(tmp_path)
    again = Planner.load(tmp_path, TUNING)
    assert again.terms == planner.terms
    assert told(again, examples[-1]) == told(planner, examples[-1])


def test_quantiles_that_were_set_since_do_not_lose_the_bracket(
    planner: Planner, examples: list[Examples], tmp_path: Path
) -> None:
    planner.save(tmp_path)
    other = TUNING.model_copy(update={"planner": Knobs(horizon_days=7, bracket=(0.2, 0.5, 0.8))})
    assert told(Planner.load(tmp_path, other), examples[-1]) == told(planner, examples[-1])


class _Runs:
    """A pickle of this calls something when it is read."""

    def __init__(self, what: Any, *given: Any) -> None:
        self.what, self.given = what, given

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.what, self.given


def named_global(module: str, name: str) -> bytes:
    """A pickle that looks up a name, dots and all."""
    return b"\x80\x05" + b"".join(b"\x8c" + bytes([len(x)]) + x.encode() for x in (module, name)) + b"\x93."


STRANGERS = {
    "os.system": pickle.dumps(_Runs(os.system, "true"), protocol=5),
    "eval": pickle.dumps(_Runs(eval, "1"), protocol=5),
    "getattr": pickle.dumps(_Runs(getattr, 1, "real"), protocol=5),
    "a path": pickle.dumps(Path("x"), protocol=5),
    "numpy's own exec": named_global("numpy.testing._private.utils", "runstring"),
    "a module within numpy": named_global("numpy.ctypeslib._ctypeslib", "os.system"),
    "a way through a safe module": named_global("numpy", "testing.runstring"),
    "numpy.load": named_global("numpy", "load"),
}
BROKEN = {
    "no pickle": b"\x00\x01\x02",
    "nothing": b"",
    "another thing": pickle.dumps([1, 2]),
    "lacking a part": pickle.dumps({"models": {}, "seen": {}}),
}


@pytest.mark.parametrize("content", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_name_that_no_planner_needs_is_not_even_looked_up(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("it was run"))
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(SourceError, match=r"does not belong there\): materialize `planner` anew"):
        Planner.load(tmp_path, TUNING)


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_planner_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(SourceError, match="materialize `planner` anew"):
        Planner.load(tmp_path, TUNING)


def test_half_a_file_and_trees_of_another_version_are_refused(planner: Planner, tmp_path: Path) -> None:
    from sklearn import __version__

    planner.save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    other = ("9" if __version__[0] != "9" else "8") + __version__[1:]
    for content in (whole[: len(whole) // 2], whole.replace(__version__.encode(), other.encode())):
        assert content != whole
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(SourceError, match="not a planner of this program"):
            Planner.load(tmp_path, TUNING)


def test_threads_and_the_order_of_rows_change_nothing(planner: Planner, examples: list[Examples]) -> None:
    given_rows = weekly()
    random.Random(1).shuffle(given_rows)
    shuffled = examples_of(shop(given_rows, GOODS))
    other = Planner(TUNING, threads=2).fit(shuffled[:-1])
    assert other.terms == planner.terms
    assert told(other, shuffled[-1]) == told(planner, examples[-1])


_DIGEST = """
import hashlib
from recsys_assets_tests.models.test_planner import *
found = examples_of(shop(weekly(), GOODS))
planner = Planner(TUNING, threads=2).fit(found[:-1])
print(hashlib.sha256(repr((planner.terms, told(planner, found[-1]))).encode()).hexdigest())
"""


def test_another_process_learns_the_same(planner: Planner, examples: list[Examples]) -> None:
    import hashlib

    environment = os.environ | {"PYTHONHASHSEED": "7", "POLARS_MAX_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    ours = repr((planner.terms, told(planner, examples[-1])))
    assert run.stdout.strip() == hashlib.sha256(ours.encode()).hexdigest()


def test_some_people_are_told_what_everybody_is(planner: Planner, examples: list[Examples]) -> None:
    everybody = planner.predict(examples[-1].states)
    some = planner.predict(examples[-1].states, pl.DataFrame({"person_key": ["p07", "p03", "not known"]}))
    assert some.people == ["p03", "p07"]
    plans = dict(zip(everybody.people, everybody.plans(), strict=True))
    assert some.plans() == [plans["p03"], plans["p07"]]


def test_nobody_is_told_nothing(planner: Planner, examples: list[Examples]) -> None:
    nobody = pl.DataFrame({"person_key": []}, schema={"person_key": pl.String})
    assert planner.predict(examples[-1].states, nobody).plans() == []


def test_a_visit_tells_the_category_in_a_shop_where_nothing_else_does(
    planner: Planner, examples: list[Examples]
) -> None:
    test = examples[-1]
    said = planner.predict(test.states, test.after.select("person_key"))
    bought = dict(test.after.select("person_key", "category").iter_rows())
    before = [plan.top()[0][0] == bought[person] for person, plan in zip(said.people, said.plans(), strict=True)]
    after = [
        with_visit(plan, test.visits[person], planner.terms, plan).top()[0][0] == bought[person]
        for person, plan in zip(said.people, said.plans(), strict=True)
    ]
    assert sum(before) < len(before) / 2
    assert len(after) == PEOPLE
    assert sum(after) == PEOPLE
    assert all(0 < weight < 20 for weight in planner.terms.category)  # not so much that all chances become 1


def test_looks_at_gifts_name_gifts_and_dear_ones_raise_the_bracket(planner: Planner, examples: list[Examples]) -> None:
    plan = told(planner, examples[-1])[0]
    gift = with_visit(plan, Visit((Look("Shop > Gift cards", 10 * MICROS, cart=True),)), planner.terms, plan)
    tea = with_visit(plan, Visit((Look("Shop > tea", 10 * MICROS, cart=True),)), planner.terms, plan)
    assert gift.chances()["gift"] > 2 * plan.chances()["gift"] > 4 * tea.chances()["gift"]
    assert planner.terms.price > 0.8  # what is looked at is bought
    assert plan.bracket is not None
    dear = with_visit(plan, Visit((Look("Shop > pans", 2 * plan.bracket[1]),)), planner.terms, plan)
    assert dear.bracket is not None
    assert dear.bracket[1] > 1.6 * plan.bracket[1]


def test_a_shop_without_looks_has_no_terms_of_a_visit() -> None:
    learned = Planner(TUNING).fit(examples_of(shop(weekly(looks=False), GOODS))[:-1])
    none = PlanningTerms(2, TUNING.planner.gift_words)
    assert (learned.terms.category, learned.terms.intents, learned.terms.price) == (none.category, none.intents, 0.0)


def visited(number: int, category: str, *, price: float | None = None) -> Visited:
    plan = Plan((("a", -1.0), ("b", -1.0)), (0.0,) * 5, (0.0,) * 3, (MICROS, MICROS, MICROS))
    return Visited(plan, Visit((Look(category, 2 * MICROS),)), "ab"[number % 2], INTENTS[number % 2], price)


def test_terms_need_so_many_visits_and_weigh_only_what_tells() -> None:
    start = PlanningTerms(1, ("gift",))
    right = [visited(number, "ab"[number % 2]) for number in range(LEAST_VISITS)]
    assert fitted_terms(right[:-1], start) == start
    found = fitted_terms(right, start)
    assert found.category[0] > 1
    assert found.category[1] == 0  # nothing was in a cart
    assert found.price == 0  # no basket had a price
    wrong = [visited(number, "ba"[number % 2]) for number in range(LEAST_VISITS)]
    assert fitted_terms(wrong, start).category == (0.0, 0.0)  # never less than nothing
    strangers = [visited(number, "c") for number in range(LEAST_VISITS)]
    assert fitted_terms(strangers, start).category == (0.0, 0.0)


def only(product: str, people: int = 8) -> list[Row]:
    """One product, bought by everybody every fourth day, without a cycle that makes it a replenishment."""
    return [did(f"p{number}", product, at * 4 + number % 2) for number in range(people) for at in range(9)]


NEVER = Tuning(k_anonymity=2, planner=Knobs(horizon_days=7, replenish_within=0.001, post_purchase_days=1))


def test_classes_that_were_never_seen_have_the_smallest_chance() -> None:
    found = examples_of(shop(only("tea 0"), GOODS), (20, 27), NEVER)
    said = Planner(NEVER).fit(found[:1]).predict(found[1].states)
    assert np.exp(said.intents).round(6).tolist() == [[LEAST] * 4 + [1.0]] * 8
    assert np.exp(said.triggers).round(6).tolist() == [[1.0, LEAST, LEAST]] * 8
    assert {plan.intent(PlanningTerms(2, ())) for plan in said.plans()} == {"explore"}
    assert len(said.triggers[0]) == len(TRIGGERS)


def test_where_it_is_always_the_same_it_is_certain() -> None:
    """One category, and everybody buys every week: no trees can be grown, and none are needed."""
    found = examples_of(shop(only("tea 0"), GOODS), (20, 27))
    said = Planner(TUNING).fit(found[:1]).predict(found[1].states)
    assert {(plan.top()[0][0], round(plan.top()[0][1], 5)) for plan in said.plans()} == {("Shop > tea", 1.0)}
    assert said.buys.tolist() == [0.999999] * 8


def test_a_shop_without_prices_plans_no_bracket() -> None:
    free = [one | {"unit_price_micros": None} for one in weekly()]
    found = examples_of(shop(free, GOODS.with_columns(pl.lit(None, pl.Int64).alias("unit_price_micros"))))
    learned = Planner(TUNING).fit(found[:-1])
    assert {plan.bracket for plan in told(learned, found[-1])} == {None}
    assert learned.terms.price == 0


def test_people_whose_basket_has_no_price_still_teach_the_rest() -> None:
    some = [
        one | {"unit_price_micros": None} if one["user_key"] in ("p00", "p01") else one for one in weekly()
    ]  # fmt: skip
    found = examples_of(shop(some, GOODS))
    assert told(Planner(TUNING).fit(found[:-1]), found[-1])[0].bracket is not None


def test_one_person_is_enough_to_learn_from() -> None:
    found = examples_of(shop([did("ann", "tea 0", number) for number in range(0, 35, 5)], GOODS))
    plans = told(Planner(TUNING).fit(found[:-1]), found[-1])
    assert [plan.top()[0][0] for plan in plans] == ["Shop > tea"]
    assert plans[0].bracket is None  # three items are too few


def test_brackets_are_whole_cents_of_a_cent_at_least() -> None:
    assert in_micros(np.log([1.0, 1_234_567.0, 2_000_000.0])) == (10_000, 1_230_000, 2_000_000)
    assert in_micros(np.array([1.0, np.nan, 2.0])) is None


def test_many_are_named_as_one_is(planner: Planner, examples: list[Examples]) -> None:
    said = planner.predict(examples[-1].states)
    for sharpness in (0.0, 0.5, 1.0):
        terms = PlanningTerms(2, (), shares=planner.terms.shares, sharpness=sharpness)
        assert named_intents(said.intents, terms.shares, sharpness) == [plan.intent(terms) for plan in said.plans()]


def test_rare_intents_are_helped_as_far_as_the_planner_itself_expects_to_gain(examples: list[Examples]) -> None:
    learned = Planner(TUNING).fit(examples[:-1])
    assert learned.terms.sharpness == 0
    usual = np.array(learned.terms.shares)
    learned.sharpen(examples[-1].states)
    said = learned.predict(examples[-1].states)
    chances = np.exp(said.intents) / np.exp(said.intents).sum(axis=1, keepdims=True)
    found = expected_f1(chances, said.buys, np.array(learned.terms.shares))
    assert all(found >= expected_f1(chances, said.buys, usual**power) for power in (0.0, 0.5, 1.0))
    assert learned.terms.sharpness == 1


def test_the_expected_f1_is_that_of_so_many_people_as_the_chances_say() -> None:
    from sklearn.metrics import f1_score

    chances, held = np.array([[0.5, 0.25, 0.25], [0.25, 0.75, 0.0], [0.25, 0.25, 0.5]]), np.array([1.0, 0.25, 1.0])
    weight = np.array([4, 8, 4])
    named = [1, 1, 1]  # 1/4 over 1/4 is 1, 3/4 is 3, 1/4 is 1
    people = [
        (true, said)
        for row, said, times in zip(chances, named, weight, strict=True)
        for true, share in enumerate(row)
        for _ in range(int(share * times))
    ]
    assert len(people) == 4 + 8 + 4
    oracle = f1_score(*zip(*people, strict=True), labels=[0, 1, 2], average="macro", zero_division=0)
    assert expected_f1(chances, weight.astype(float), held) == pytest.approx(oracle)


def test_a_rare_class_is_named_of_those_who_are_likeliest_to_be_of_it() -> None:
    chances = np.array([[0.9, 0.1]] * 18 + [[0.6, 0.4]] * 2)
    held = helped(chances, np.ones(20), chances.mean(axis=0))
    assert (chances / held).argmax(axis=1).tolist() == [0] * 18 + [1] * 2
    assert held.sum() == pytest.approx(1)
