"""Planted leaks: what is popular only after the cut-off, a feature that knows the future, a model told the answer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_assets.logic.identities import identities, merged
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.split import Window
from recsys_assets.models import evaluation
from recsys_assets.models.base import Interactions
from recsys_assets.models.evaluation import evaluate
from recsys_assets.models.holdout import Holdout, Listed, holdout
from recsys_assets.models.leaks import impossible, leaks
from recsys_assets.models.popularity import Popularity
from recsys_assets.models.traits import Traits
from recsys_assets.tuning import Als, Blending, Tuning
from recsys_assets.tuning import Evaluation as Protocol
from recsys_assets_tests.models.builders import always, catalog, event, events

CUT, UNTIL = date(2024, 6, 23), date(2024, 6, 30)
WINDOW = Window(CUT, UNTIL)
TUNING = Tuning(
    als=Als(factors=4, iterations=3, regularizations=()),
    blend=Blending(kind="default"),
    evaluation=Protocol(holdout_days=7, ks=(1, 5), bootstrap=100, beginners=0),
)
PRODUCTS = [f"i{product:02}" for product in range(12)]


def shop() -> pl.DataFrame:
    """Forty people buy two products a week; in the last week everybody buys one that nobody knew before."""
    random = np.random.default_rng(1)
    made = [
        event(
            f"p{person:02}", f"i{random.integers(11):02}", UNTIL - timedelta(7 * week + 1), order=f"{person} {week} {n}"
        )
        for person in range(40)
        for week in range(6)
        for n in range(2)
    ]
    return events(*made, *(event(f"p{person:02}", "i11", UNTIL) for person in range(40)))


def window(made: pl.DataFrame) -> Holdout:
    held = holdout(made, WINDOW, PRODUCTS, TUNING)
    assert held is not None
    return held


def test_a_clean_window_has_no_leak() -> None:
    assert leaks(window(shop()), shop(), WINDOW, TUNING) == []


def test_what_becomes_popular_only_after_the_cut_off_is_not_known_and_lowers_what_can_be_reached() -> None:
    held = window(shop())
    assert "i11" not in held.train.product_ids
    popular = Popularity()
    popular.fit(held.train)
    assert "i11" not in popular.product_ids
    made = evaluate(shop(), UNTIL, always(PRODUCTS), TUNING)
    assert made.leaks == ()
    ceiling = made.metrics.filter(split="test", model="ceiling", target="all", metric="recall", k=5)
    assert ceiling["value"][0] < 1


def test_a_training_that_saw_the_window_is_found() -> None:
    """The bug that counts: a training that ends too late."""
    made = shop()
    held = window(made)
    future = interactions(made, UNTIL, TUNING)
    train = Interactions.from_frame(future)
    traits = Traits.of(future, train.product_ids, UNTIL, TUNING.recent_days)
    told = leaks(replace(held, train=train, traits=traits), made, WINDOW, TUNING)
    assert told[0] == f"1 products are in the training up to {CUT} and have no event by then, such as i11"
    assert f"training up to {CUT} change when the days after it are taken away: " in told[1]
    assert "purchases" in told[1]
    assert f"what is said of products up to {CUT} knows the days after it: buyers" in told[2]


def spoil_weights(held: Holdout) -> Holdout:
    """A person's weight of what they will buy is a little higher: no new entry, no new product."""
    known = held.history.weights.copy()
    known.data = known.data + np.asarray(held.bought[known.nonzero()], dtype=np.float32).ravel() * np.float32(1e-3)
    return replace(held, history=replace(held.history, weights=known))


def spoil_steps(held: Holdout) -> Holdout:
    steps = held.train.steps
    return replace(held, train=replace(held.train, steps=replace(steps, ages=steps.ages[::-1].copy())))


def spoil_traits(held: Holdout) -> Holdout:
    """Buyers of the window are counted among those of the product."""
    later = np.asarray(held.bought.sum(axis=0)).ravel().astype(np.float32)
    return replace(held, traits=replace(held.traits, buyers=held.traits.buyers + later))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_weights, f"histories up to {CUT} change when the days after it are taken away: weights"),
        (spoil_steps, f"training up to {CUT} change when the days after it are taken away: steps"),
        (spoil_traits, f"what is said of products up to {CUT} knows the days after it: buyers"),
    ],
)
def test_a_feature_that_knows_the_future_is_found(spoil: Callable[[Holdout], Holdout], said: str) -> None:
    assert leaks(spoil(window(shop())), shop(), WINDOW, TUNING) == [said]


def listed(hits: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Listed:
    made = Listed.none(*hits.shape)
    made.hits[:] = hits
    return made


def test_a_model_that_was_told_the_answer_is_not_believed() -> None:
    held = window(shop())
    people = len(held.history.person_keys)
    relevant = {target: np.full(people, 2) for target in ("all", "new", "repeat")}
    held = replace(held, relevant=relevant)
    best, good = np.zeros((people, 5), dtype=bool), np.zeros((people, 5), dtype=bool)
    best[:, :2], good[:, 1] = True, True
    lists = {(name, "new"): listed(hits) for name, hits in {"ceiling": best, "oracle": best, "als": good}.items()}
    told = impossible(lists, held, TUNING)
    assert told == [
        "oracle reaches NDCG@5 1.000 on new products, of 1.000 that can be reached: it seems to know the answer"
    ]
    lists["ceiling", "new"] = listed(good)
    assert impossible(lists, held, TUNING)[-1] == "oracle lists more of what was bought (new) than anybody could"


def sold_out(product: str, day: date) -> Callable[[date], pl.DataFrame]:
    """Table CATALOG as of a day: one product is not offered from ``day`` on."""
    return lambda cutoff: catalog(dict.fromkeys(PRODUCTS), (product,) if cutoff >= day else ())


def offered(by: Callable[[date], pl.DataFrame]) -> Callable[[date], list[str]]:
    return lambda day: by(day).filter(pl.col("not_recommendable").is_null())["product_id"].to_list()


def best_seller(people: int = 10) -> pl.DataFrame:
    """In the last week all people but one buy nothing but the best seller, and it sells out on the last day."""
    made = [event(f"p{n:02}", f"i{(n + week) % 9 + 1:02}", UNTIL - timedelta(7 * week)) for n in range(people)
            for week in range(1, 6)]  # fmt: skip
    made += [event("zoe", "i00", UNTIL - timedelta(20))]
    return events(*made, *(event(f"p{n:02}", "i00" if n else "i01", UNTIL - timedelta(1)) for n in range(people)))


def test_a_best_seller_that_sells_out_on_the_last_day_was_offered_before_it() -> None:
    by = sold_out("i00", UNTIL)
    made = evaluate(best_seller(), UNTIL, offered(by), TUNING, products=by)
    assert made.leaks == ()
    assert made.metrics.filter(split="test", target="all")["people"].unique().to_list() == [10]


def test_a_later_catalog_that_says_what_may_be_listed_is_found() -> None:
    """Planted: what is offered on the last day, as of every cut-off."""
    by = sold_out("i00", UNTIL)
    told = evaluate(best_seller(), UNTIL, always(offered(by)(UNTIL)), TUNING, products=by).leaks
    assert told[-1] == (
        f"1 products may not be listed and are offered by the catalogue of {CUT}, such as i00: another day's says what "
        "may be listed"
    )
    back = sold_out("i00", UNTIL)
    late = always(offered(back)(CUT))  # what comes back later
    told = evaluate(best_seller(), UNTIL, late, TUNING, products=lambda _: back(UNTIL)).leaks
    assert told[-1].startswith(f"1 products may be listed and are not offered by the catalogue of {CUT}, such as i00")


def cookies() -> pl.DataFrame:
    """Nine people of whom each looked around with a cookie for weeks; they log in with it in the last week alone."""
    made = [event(f"p{n:02}", f"i{(n + week) % 9:02}", UNTIL - timedelta(7 * week)) for n in range(9)
            for week in range(1, 6)]  # fmt: skip
    made += [event(None, f"i{n + 2:02}", UNTIL - timedelta(9), anon=f"c{n}") for n in range(9)]
    return events(*made, *(event(f"p{n:02}", f"i{n + 3:02}", UNTIL, anon=f"c{n}") for n in range(9)))


def linked(given: pl.DataFrame | pl.LazyFrame, day: date) -> pl.DataFrame:
    seen = given.lazy().collect()
    return merged(seen, identities(seen, day, 365))


def test_links_are_those_of_each_cut_off() -> None:
    made = evaluate(cookies(), UNTIL, always(PRODUCTS), TUNING, links=linked)
    assert made.leaks == ()
    later = evaluate(cookies(), UNTIL, always(PRODUCTS), TUNING, links=lambda given, _: linked(given, UNTIL))
    assert any(one.startswith(f"histories up to {CUT} change when the days after it are") for one in later.leaks)


def test_a_leak_is_told_by_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(*arguments: object, **named: object) -> Holdout | None:
        held = holdout(*arguments, **named)  # type: ignore[arg-type]  # handed on as they came
        return held and spoil_traits(held)

    monkeypatch.setattr(evaluation, "holdout", leaky)
    told = evaluate(shop(), UNTIL, always(PRODUCTS), TUNING).leaks
    assert len(told) == 2  # of both windows
    assert all("knows the days after it: buyers" in one for one in told)
