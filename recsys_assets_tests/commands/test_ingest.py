"""`recsys ingest`, `rejected show` and `contract` as a person meets them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands.ingest import COMMANDS
from recsys_assets.errors import HomeError, SourceError
from recsys_assets.settings import Home, Source, keep_source, load_settings, open_home
from recsys_assets_tests.importers.shop import event, jsonl

GOOD, BAD = event(), event(user_id="anna@example.org", quantity=0)


@pytest.fixture
def recsys(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    commands = {command.name: command for command in COMMANDS}

    def run(name: str, *args: str) -> Result:
        result = CliRunner().invoke(commands[name], list(args))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_ingest_says_what_it_did(recsys: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(jsonl([GOOD, BAD]))
    checked = recsys("ingest", "auto", str(path), "--check")
    assert checked.exit_code == 1
    assert "50.0% of its rows are rejected, over the knob rejections.warn = 5%" in checked.stderr
    assert "  read as contract:\n    event_type → event_type\n" in checked.output
    assert f"{path}:2\n               {jsonl([BAD]).decode()}" in checked.output
    assert "days that would change: 1 (2024-05-01)" in checked.output
    assert "2 rows would land in landing_events: 1 clean, 1 rejected, 0 duplicates, 0 redelivered" in checked.output
    result = recsys("ingest", "contract", str(path))
    assert result.exit_code == 1
    assert "2 rows landed in landing_events" in result.output
    assert f"quantity_zero                e.g. {path}:2" in result.output
    assert "days changed: 1 (2024-05-01)" in result.output
    assert "anna" not in result.output
    assert "had already landed (2 rows)" in recsys("ingest", "contract", str(path)).output


def test_ingest_ends_well_where_few_rows_are_rejected(recsys: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(jsonl([*(event(user_id=f"u-{n}") for n in range(19)), BAD]))
    assert recsys("ingest", "contract", str(path), "--check").exit_code == 0
    path.write_bytes(jsonl([*(event(user_id=f"u-{n}") for n in range(18)), BAD]))
    assert recsys("ingest", "contract", str(path)).exit_code == 1
    assert recsys("ingest", "contract", str(path)).exit_code == 0  # it has landed


def test_ingest_replaces_when_it_is_told_to(recsys: Callable[..., Result], tmp_path: Path) -> None:
    path, map = tmp_path / "day.csv", tmp_path / "shop.toml"
    path.write_text("when,who,what\n2024-05-01,1,2\n", encoding="utf-8")
    words = 'kind = "events"\n[columns]\nevent_time = "when"\nuser_id = "who"\nproduct_id = "what"\n[constants]\n'
    map.write_text(words + 'event_type = "view"\n', encoding="utf-8")
    how = ("mapped", str(path), "--map", str(map))
    assert recsys("ingest", *how).exit_code == 0
    map.write_text(words + 'event_type = "click"\n', encoding="utf-8")
    with pytest.raises(SourceError, match="Add --replace"):
        recsys("ingest", *how)
    assert "takes the place of 1 rows of landing_events" in recsys("ingest", *how, "--replace").output


def test_ingest_as_json(recsys: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(jsonl([GOOD, BAD]))
    made = json.loads(recsys("ingest", "contract", str(path), "--json").stdout)
    place = {"line": 2, "offset": len(jsonl([GOOD]))}
    assert made["rejected"] == {"quantity_zero": {"rows": 1, "examples": [place]}}
    assert ["user_id", "user_id"] in made["mapping"]
    assert (made["rows"], made["clean"], made["changed"]) == (2, 1, ["2024-05-01"])


def test_ingest_refuses_in_one_error(recsys: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        recsys("ingest", "contract", str(tmp_path / "gone.csv"))


@pytest.mark.parametrize("name", ["day.jsonl", "day.jsonl.gz", "day.parquet"])
def test_rejected_show_rereads_the_shops_file(recsys: Callable[..., Result], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        pl.DataFrame([GOOD, BAD]).write_parquet(path)
    else:
        data = jsonl([GOOD, BAD, GOOD])
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    recsys("ingest", "contract", str(path))
    shown = recsys("rejected", "show").output
    assert "2024-05-01  quantity_zero: quantity is 0." in shown
    assert f"{path}:2" in shown
    assert '"anna@example.org"' in shown
    assert "anna" in recsys("rejected", "show", "--day", "2024-05-01", "--reason", "quantity_zero").output
    told = json.loads(recsys("rejected", "show", "--json").stdout)
    assert (told["day"], told["reason"], told["line"]) == ("2024-05-01", "quantity_zero", 2)
    assert "anna" in told["original"]
    assert recsys("rejected", "show", "--day", "2024-05-02", "--json").stdout == ""
    assert recsys("rejected", "show", "--day", "2024-05-02").output == "no rejected rows on 2024-05-02\n"
    path.write_bytes(b"something else")
    assert "no longer the one that was imported" in recsys("rejected", "show").output
    path.unlink()
    assert "the file is gone" in recsys("rejected", "show").output


def test_rejected_products(recsys: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("product_id,unit_price\np,-1\nq,x\nr,1\n")
    recsys("ingest", "contract", str(path))
    shown = recsys("rejected", "show", "--kind", "catalog", "--limit", "1").output
    assert "price_negative: A price is negative." in shown
    assert "p,-1" in shown
    assert "q,x" not in shown


def test_contract_prints(recsys: Callable[..., Result]) -> None:
    assert json.loads(recsys("contract", "event").output)["title"] == "Event"
    assert json.loads(recsys("contract", "product").output)["title"] == "Product"
    assert json.loads(recsys("contract", "rate").output)["title"] == "Rate"
    assert json.loads(recsys("contract", "user").output)["title"] == "User"
    assert recsys("contract").output.startswith("# What a shop sends")


MAPPING = """\
kind = "events"
[columns]
event_time = "when"
user_id = "customer"
product_id = "sku"
unit_price = "paid"
[constants]
event_type = "purchase"
"""


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A shop's own four columns and, beside them, how they are read."""
    (tmp_path / "sales.toml").write_text(MAPPING)
    (tmp_path / "sales.csv").write_text("when,customer,sku,paid\n2024-05-01 10:12:00,17,A-100,2.49\n")
    return tmp_path / "sales.csv"


def test_a_file_that_landed_offers_to_be_a_source_and_is_kept_with_its_mapping(
    recsys: Callable[..., Result], home: Home, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sales.parent)
    call = ("ingest", "mapped", "sales.csv", "--map", "sales.toml")
    assert "with --keep adds it to the sources in home.toml" in recsys(*call).output
    assert "--keep" not in recsys(*call, "--json").stdout
    edited = home.path / "home.toml"
    edited.write_text(edited.read_text() + "[tuning]\nk_anonymity = 3  # few buyers\n")
    assert "Kept in" in recsys(*call, "--keep").output
    config = open_home(load_settings()).config
    assert config.sources == (Source(format="mapped", path=str(sales), map=str(sales.with_suffix(".toml"))),)
    assert config.tuning.k_anonymity == 3
    assert "# few buyers" in edited.read_text()
    before = edited.read_text()
    assert "has this source already" in recsys(*call, "--keep").output
    assert edited.read_text() == before
    assert "--keep" not in recsys(*call).output


def test_what_cannot_be_kept_is_refused_and_written_nowhere(
    recsys: Callable[..., Result], home: Home, sales: Path
) -> None:
    mapped = ("ingest", "mapped", str(sales), "--map", str(sales.with_suffix(".toml")), "--keep")
    before = (home.path / "home.toml").read_text()
    checked = recsys(*mapped, "--check")
    assert (checked.exit_code, "--check writes nothing" in checked.output) == (2, True)
    named = recsys(*mapped, "--kind", "events")
    assert (named.exit_code, "a source has no --kind" in named.output) == (2, True)
    in_one_line = before + "sources = []\n"
    (home.path / "home.toml").write_text(in_one_line)
    with pytest.raises(HomeError, match=r"Write each as \[\[sources\]\]"):
        recsys(*mapped)
    assert (home.path / "home.toml").read_text() == in_one_line


def test_events_before_the_first_day_are_told_with_the_way_to_have_them(
    recsys: Callable[..., Result], home: Home, sales: Path
) -> None:
    mapped = ("ingest", "mapped", str(sales), "--map", str(sales.with_suffix(".toml")))
    sales.write_text(sales.read_text().replace("2024-", "2023-"))
    file = home.path / "home.toml"
    assert (
        f"The home's first day is 2024-01-01. If your events begin earlier, set first_day in {file}"
        in recsys(*mapped).output
    )
    file.write_text(file.read_text().replace("first_day = 2024-01-01", "first_day = 2023-05-01"))
    again = recsys(*mapped).output
    assert "1 clean, 0 rejected" in again
    assert "The home's first day" not in again


def test_events_without_a_price_are_told_that_a_catalogue_has_to_have_them(
    recsys: Callable[..., Result], sales: Path
) -> None:
    mapping = sales.with_suffix(".toml")
    mapped = ("ingest", "mapped", str(sales), "--map", str(mapping), "--check")
    words = f"{sales} has no column for a price, and no catalogue has landed"
    assert words not in recsys(*mapped).output
    mapping.write_text(MAPPING.replace('unit_price = "paid"\n', ""))
    assert words in recsys(*mapped).output
    catalogue = sales.with_name("products.csv")
    catalogue.write_text("product_id,unit_price\nA-100,2.49\n")
    assert words not in recsys("ingest", "contract", str(catalogue)).output
    assert words not in recsys(*mapped).output


def test_a_source_that_would_refuse_the_kept_file_is_named(
    recsys: Callable[..., Result], home: Home, sales: Path
) -> None:
    keep_source(home, Source(format="auto", path=str(sales.parent)))
    printed = recsys("ingest", "mapped", str(sales), "--map", str(sales.with_suffix(".toml")), "--keep").output
    assert f"The source auto of {sales.parent} meets these files too and will refuse them." in printed
