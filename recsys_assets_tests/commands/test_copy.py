"""`recsys copy`: what words would cost, which were refused, what a model can be tuned on."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsys_assets.commands.copy import copy_group
from recsys_assets.errors import NotFoundError, SourceError
from recsys_assets.logic.copy_texts import ACCEPTED
from recsys_assets.settings import Home, load_settings
from recsys_assets.stores.copy import CopyDesk
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import CATALOG, MICROS, PLANS
from recsys_assets_tests.llm_server import MODEL, completion, llm_server
from recsys_assets_tests.published import frame

DAY = date(2024, 3, 1)


@pytest.fixture
def shop(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Two products offered to three people, in two languages."""
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    lake = Lake(home.lake_url)
    names = {"tea": "Green tea", "pot": "Tea pot"}
    facts = [{"product_id": key, "name": name, "unit_price_micros": 5 * MICROS} for key, name in names.items()]
    lake.write(CATALOG, DAY, frame(CATALOG, facts))
    plans = [
        {"person_key": key, "intent": "explore", "trigger": "on-page", "language": language, "product_ids": products,
         "reason_codes": ["popular"] * len(products), "offer_intents": ["explore"] * len(products)}
        for key, language, products in (("1", "en", ["tea", "pot"]), ("2", "en", ["tea"]), ("3", "de", ["tea"]))
    ]  # fmt: skip
    lake.write(PLANS, DAY, frame(PLANS, plans))
    return home


def called(*words: object) -> str:
    found = CliRunner().invoke(copy_group, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def write(shop: Home, **texts: str) -> None:
    """Has what is missing written: ``texts`` are parts that replace those of a fine text."""
    words = {"headline": "{name} for you", "sentence": "Have a look at {name}.", "call_to_action": "See it"} | texts
    with llm_server(lambda _: completion(json.dumps(words))) as model:
        environment = {"RECSYS_HOME": str(shop.path), "RECSYS_LLM_URL": model.url, "RECSYS_LLM_MODEL": MODEL}
        desk = CopyDesk(Lake(shop.lake_url), shop.config.tuning, load_settings(environment))
        desk.write(desk.of(DAY).missing, datetime.now(UTC).isoformat())


def test_plan_says_what_is_missing_and_what_it_costs_before_anything_is_spent(shop: Home) -> None:
    told: dict[str, Any] = json.loads(called("plan", "--json"))
    assert told["texts"] == 3  # tea in two languages, the pot in one
    assert told["missing"] == 3
    assert told["by_source"] == {"template": 3}
    assert told["tokens_at_most"] > 3 * 350
    assert told["spent_today"] == {"tokens": 0, "money": 0.0}
    text = called("plan")
    assert "missing           3 texts of a model" in text
    assert "No language model is set (RECSYS_LLM_URL)" in text
    assert "Money is not counted" in text


def test_plan_counts_money_where_prices_are_set(shop: Home) -> None:
    with (shop.path / "home.toml").open("a") as file:
        file.write("\n[tuning.copywriting]\ninput_price = 2.0\noutput_price = 8.0\n")
    told = json.loads(called("plan", "--json"))
    assert told["money_at_most"] == pytest.approx(told["tokens_at_most"] * 2e-6, rel=3)
    assert told["money_at_most"] > told["tokens_at_most"] * 2e-6
    assert "of money" in called("plan")


def test_what_was_written_is_not_missing_any_more(shop: Home) -> None:
    write(shop)
    told = json.loads(called("plan", "--json"))
    assert told["by_source"] == {"model": 2, "template": 1}  # German was asked for, and English came
    assert told["missing"] == 1
    assert told["spent_today"]["tokens"] == 3 * 340
    assert "refused" in json.loads(called("refused", "--json"))[0]["outcome"]
    assert "language" in called("refused")


def test_what_is_refused_too_often_is_given_up(shop: Home) -> None:
    for _ in range(3):
        write(shop, headline="Only 3 left")
    told = json.loads(called("plan", "--json"))
    assert (told["missing"], told["given_up"]) == (0, 3)
    assert "number" in called("refused", "--last", 1)


def test_export_writes_chats_with_facts_and_accepted_texts(shop: Home, tmp_path: Path) -> None:
    write(shop)
    out = tmp_path / "tuned.jsonl"
    assert called("export", out).startswith("2 accepted texts")
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [[one["role"] for one in line["messages"]] for line in lines] == [["system", "user", "assistant"]] * 2
    answers = [json.loads(line["messages"][2]["content"]) for line in lines]
    assert {answer["headline"] for answer in answers} == {"{name} for you"}
    assert {name for name in ("Green tea", "Tea pot") for line in lines if name in line["messages"][1]["content"]} == {
        "Green tea", "Tea pot",
    }  # fmt: skip
    for nowhere in (tmp_path / "nowhere" / "x.jsonl", tmp_path):  # no such folder; a folder itself
        with pytest.raises(SourceError, match="Name a file in a folder that is there"):
            called("export", nowhere)


def test_a_home_without_plans_says_what_to_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    with pytest.raises(NotFoundError, match="run `recsys run daily` first"):
        called("plan")
    assert called("refused") == "nothing was refused\n"


def test_the_accepted_are_those_that_the_validator_let_pass(shop: Home) -> None:
    write(shop)
    desk = CopyDesk(Lake(shop.lake_url), shop.config.tuning, load_settings({"RECSYS_HOME": str(shop.path)}))
    assert sorted(desk.written()["outcome"]) == [ACCEPTED, ACCEPTED, "refused"]
