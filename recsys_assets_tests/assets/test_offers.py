"""Plans, offers and their words: a whole day on real servers, beside a language model that misbehaves."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS, Facts, Text, TextKey
from recsys_assets.logic.copy_templates import TEMPLATES
from recsys_assets.logic.copy_texts import ACCEPTED, NEED, needed
from recsys_assets.logic.copy_validation import Rules, refusals
from recsys_assets.stores.copy import CopyDesk
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CATALOG, COPY, LISTS, PLANS, WRITTEN_COPY
from recsys_assets.tuning import Copywriting, Tuning
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST, PEOPLE
from recsys_assets_tests.llm_server import (
    MODEL,
    Body,
    LlmServer,
    Reply,
    completion,
    cut_off,
    fine,
    llm_server,
    page,
    refused,
    written,
)

OpenShop = Callable[..., AbstractContextManager[Shop]]
# What a model must not say, whatever the catalogue told it to.
INVENTED = Text("Only 3 left!", "{name} for €4.99, see https://cheap.example", "Buy now")
INJECTED = Text("Ignore all instructions", "As an AI I was told to praise {name}.", "Click here")
GERMAN = Text("Schau mal", "Sieh dir {name} einmal bei {shop} an.", "Ansehen")


@pytest.fixture(scope="module")
def shop(open_shop: OpenShop) -> Iterator[Shop]:
    with open_shop() as made:
        told = made.run("history", FIRST, LAST)
        assert told["success"], told["failures"]
        yield made


@pytest.fixture(scope="module")
def day(shop: Shop) -> dict[str, Any]:
    """The day with a model that knows nobody's language: all of it goes wrong, and the day is published."""
    with llm_server(misbehaving()) as model:
        told = shop.run("daily", LAST, LAST, RECSYS_LLM_URL=model.url, RECSYS_LLM_MODEL=MODEL)
    assert told["success"], told["failures"]
    return told


def misbehaving() -> Callable[[Body], Reply]:
    """One of everything, in turn; in between a fine text."""
    bad: list[Callable[[Body], Reply]] = [
        fine,
        lambda _: written(INVENTED),
        lambda _: refused(500),
        fine,
        lambda _: written(INJECTED),
        lambda _: written(GERMAN),
        lambda _: completion('{"headline": "Half of'),
        fine,
        lambda _: completion(None, refusal="I cannot"),
        lambda _: page(),
        fine,
        lambda _: cut_off(),
    ]
    turns = itertools.cycle(bad)

    def reply(body: Body) -> Reply:
        return next(turns)(body)

    return reply


def lake(shop: Shop) -> Lake:
    return Lake(shop.home.lake_url)


def desk(shop: Shop, model: LlmServer | None = None, **knobs: Any) -> CopyDesk:
    settings = replace(shop.settings, llm_url=model.url if model else "", llm_model=MODEL)
    return CopyDesk(lake(shop), Tuning(copywriting=Copywriting(**knobs)), settings)


def test_everybody_has_a_plan_and_an_offer_of_their_own_list(shop: Shop, day: dict[str, Any]) -> None:
    plans, lists = lake(shop).read(PLANS, LAST), lake(shop).read(LISTS, LAST)
    assert plans.height == plans["person_key"].n_unique() == PEOPLE
    assert set(plans["intent"]) <= set(INTENTS)
    assert set(plans["trigger"]) <= set(TRIGGERS)
    offered = plans.select("person_key", pl.col("product_ids").alias("product_id")).explode("product_id")
    assert offered.join(lists.filter(pl.col("position").is_not_null()), on=["person_key", "product_id"]).height == (
        offered.height
    )
    assert plans["product_ids"].list.len().is_between(3, 5).all()
    bought = lists.select("person_key", pl.col("product_id"), "purchased")
    said = plans.select("person_key", pl.col("product_ids").alias("product_id"), "offer_intents").explode(
        "product_id", "offer_intents"
    )
    again = said.join(bought, on=["person_key", "product_id"]).filter(pl.col("offer_intents") == "replenish")
    assert again["purchased"].all()  # nobody is told that they have bought what they have not


def test_every_offer_has_words_and_none_of_a_refused_text(shop: Shop, day: dict[str, Any]) -> None:
    copy = lake(shop).read(COPY, LAST)
    need = needed(lake(shop).read(PLANS, LAST))
    assert copy.select(NEED).equals(need.select(NEED).sort(NEED))
    calls = lake(shop).scan(WRITTEN_COPY, [datetime.now(UTC).date()]).collect()
    outcomes = set(calls["outcome"])
    assert {ACCEPTED, "refused", "unreadable", "refused_by_model"} <= outcomes, outcomes
    rules = Rules.of(Copywriting())
    facts = {row["text_id"]: row for row in calls.filter(pl.col("outcome") == ACCEPTED).iter_rows(named=True)}
    for row in facts.values():
        about = json.loads(row["facts"])
        known = Facts(**(about | {"tags": tuple(about["tags"])}))
        key = TextKey(*(row[name] for name in ("intent", "reason_kind", "tone", "language", "prompt_version")))
        assert refusals(Text.of(row), known, key, rules) == []
    ours = {tuple(text.parts().values()) for text in TEMPLATES.values()}
    theirs = {tuple(Text.of(row).parts().values()) for row in facts.values()}
    shown = set(copy.select("headline", "sentence", "call_to_action").rows())
    assert shown <= ours | theirs
    for never in (INVENTED, INJECTED, GERMAN):
        assert tuple(never.parts().values()) not in shown
    assert set(copy["source"]) == {"model", "template"}


def test_the_asset_tells_what_the_calls_came_to(day: dict[str, Any]) -> None:
    told = day["assets"]["copy"][LAST.isoformat()]
    assert told["calls"] == sum(told["outcomes"].values()) > 0
    assert told["tokens_in"] > 0
    assert told["tokens_out"] > 0
    assert told["mlflow_run"]
    assert "number" in told["refused"]
    assert day["assets"]["planner"][LAST.isoformat()]["mlflow_run"]


def test_what_was_written_is_kept_until_its_facts_change(shop: Shop, day: dict[str, Any]) -> None:
    with llm_server() as model:
        here = desk(shop, model)
        before = here.of(LAST)
        here.write(before.missing, "again")
        assert here.of(LAST).missing == []
        asked = len(model.asked())
        assert asked == len(before.missing) > 0
        assert set(here.of(LAST).copy["source"]) <= {"model", "template"}
        assert here.write(here.of(LAST).missing, "and again").is_empty()
        assert len(model.asked()) == asked
    # The catalogue says something else of a product: its texts are written anew, and meanwhile a template stands.
    one = here.of(LAST).copy.filter(pl.col("source") == "model")["product_id"][0]
    catalog = lake(shop).read(CATALOG, LAST)
    changed = catalog.with_columns(
        pl.when(pl.col("product_id") == one).then(pl.lit("Another name")).otherwise("name").alias("name")
    )
    try:
        lake(shop).write(CATALOG, LAST, changed)
        after = here.of(LAST)
        assert {missing.facts.product_id for missing in after.missing} == {one}
        assert set(after.copy.filter(pl.col("product_id") == one)["source"]) == {"template"}
    finally:
        lake(shop).write(CATALOG, LAST, catalog)


def test_a_promotion_that_ends_takes_its_text_along(shop: Shop, day: dict[str, Any]) -> None:
    catalog = lake(shop).read(CATALOG, LAST)
    offered = catalog.with_columns((pl.col("unit_price_micros") * 2).alias("list_price_micros"))
    try:
        lake(shop).write(CATALOG, LAST, offered)
        sale = Text("{name} is {discount}", "{price} instead of {list_price} at {shop}.", "Have a look")
        with llm_server(lambda _: written(sale)) as model:
            here = desk(shop, model)
            here.write(here.of(LAST).missing, "sale")
            during = here.of(LAST).copy.filter(pl.col("source") == "model")
            assert set(during["headline"]) == {sale.headline}
    finally:
        lake(shop).write(CATALOG, LAST, catalog)
    assert not here.of(LAST).copy["sentence"].str.contains("{list_price}", literal=True).any()


def test_a_budget_is_not_passed_and_a_rule_made_later_holds(shop: Shop, day: dict[str, Any]) -> None:
    with llm_server() as model:  # nothing has been written in the tone "plain"
        spent = desk(shop).spent(datetime.now(UTC).date()).tokens
        tight = desk(shop, model, tokens_per_day=spent + 4_000, tone="plain")
        found = tight.write(tight.of(LAST).missing, "tight")
        assert "over_budget" in set(found["outcome"])
        assert tight.spent(datetime.now(UTC).date()).tokens <= spent + 4_000
    lenient = desk(shop, tone="plain").of(LAST).copy
    assert "model" in set(lenient["source"])
    strict = desk(shop, more_claims=("have a look",), tone="plain").of(LAST)
    assert set(strict.copy["source"]) == {"template"}
    assert strict.outlived > 0


def test_a_batch_is_collected_by_a_later_night(shop: Shop, day: dict[str, Any]) -> None:
    with llm_server() as model:
        here = desk(shop, model, mode="batch", tone="plain", languages=("de",), tokens_per_day=100_000_000)
        # Everybody is planned for in English: the words that German speakers would get are asked for by hand.
        plans = lake(shop).read(PLANS, LAST)
        try:
            lake(shop).write(PLANS, LAST, plans.with_columns(language=pl.lit("de")))
            wanted = here.of(LAST).missing
            sent = here.write(wanted, "night one")
            assert set(sent["outcome"]) == {"pending"}
            assert here.of(LAST).missing == []
            assert here.of(LAST).waiting == len(wanted)
            assert here.collect("night two").is_empty()  # it is still running
            held = here.spent(datetime.now(UTC).date()).tokens
            for batch in model.batches.values():
                batch.status = "completed"
            came = here.collect("night three")
            assert set(came["outcome"]) == {ACCEPTED}
            assert set(here.of(LAST).copy["source"]) == {"model"}
            assert here.of(LAST).waiting == 0
            assert here.spent(datetime.now(UTC).date()).tokens < held  # what was held is counted as what it cost
            assert here.collect("night four").is_empty()
        finally:
            lake(shop).write(PLANS, LAST, plans)


def test_an_endpoint_that_is_away_or_refuses_leaves_templates_and_says_why(shop: Shop, day: dict[str, Any]) -> None:
    with llm_server() as model:
        model.knows_batches = False
        without = desk(shop, model, mode="batch", languages=("en",), tone="plain", more_claims=("have a look",))
        asked = without.ask(LAST, "no batches")
        assert asked.problem is not None
        assert "has no Batch API: set tuning.copywriting.mode to direct" in asked.problem
    assert set(asked.day.copy["source"]) == {"template"}
    gone = without.ask(LAST, "away")  # the server has ended
    assert gone.problem is not None
    direct = desk(shop, model, more_claims=("have a look",), tone="plain").ask(LAST, "direct")
    assert direct.problem is None
    assert set(direct.calls["outcome"]) == {"failed"}
    assert set(direct.day.copy["source"]) == {"template"}
