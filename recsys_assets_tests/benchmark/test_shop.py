"""A made shop of two tastes, from its files to the figures: who likes what, and what is new, is known."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from recsys_assets.benchmark.shop import MODELS, recommendable, shop
from recsys_assets.benchmark.shop_outcome import ShopOutcome
from recsys_assets.cli import recsys
from recsys_assets.errors import RefusedError, SourceError
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import catalog

FIRST, CUTOFF, LAST = date(2024, 3, 1), date(2024, 5, 17), date(2024, 5, 31)
NOW = datetime(2024, 7, 1, tzinfo=UTC)
PEOPLE, PRODUCTS, NEW = 60, 16, 6
SMALL = Tuning.model_validate(
    {
        "als": {"factors": 4, "iterations": 3, "regularizations": ()},
        "evaluation": {"bootstrap": 100, "beginners": 20},
        "blend": {"trees": 5, "people_to_learn": 10, "least_in_leaf": 5},
        "repeats": {"weights": (0.0, 1.0)},
    }
)


def taste(number: int) -> str:
    return ("Bread", "Cheese")[number % 2]


def rows() -> list[dict[str, Any]]:
    """People of even number buy even products, the others odd ones; the newest products come after the cut-off."""
    made = random.Random(7)
    told = []
    for person in range(PEOPLE):
        for visit in range(12):
            day = FIRST + timedelta(days=8 * visit + person % 7)
            if day > LAST:
                continue
            new = day > CUTOFF and made.random() < 0.4
            product = PRODUCTS + made.randrange(NEW // 2) * 2 if new else made.randrange(PRODUCTS // 2) * 2
            product += person % 2
            about: dict[str, Any] = {"user_id": f"person {person}", "product_id": f"p{product:02}", "currency": "EUR"}
            at = datetime.combine(day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=10)
            told.append(about | {"event_type": "view", "event_time": at.isoformat(), "unit_price": None})
            bought = {"event_type": "purchase", "event_time": (at + timedelta(minutes=1)).isoformat()}
            told.append(about | bought | {"unit_price": "2.00"})
    return told


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("shop")
    pl.DataFrame(rows()).write_csv(folder / "events.csv")
    products = [
        {"product_id": f"p{number:02}", "name": f"{taste(number)} {number}", "category": f"Food > {taste(number)}"}
        | {"unit_price": "2.00", "currency": "EUR"}
        for number in range(PRODUCTS + NEW)
    ]
    pl.DataFrame(products).write_csv(folder / "products.csv")
    return str(folder / "events.csv"), str(folder / "products.csv")


@pytest.fixture(scope="module")
def in_time(files: tuple[str, str]) -> ShopOutcome:
    return shop(files, cutoff=CUTOFF, now=NOW, tuning=SMALL, threads=1)


@pytest.fixture(scope="module")
def one_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shop where each person's last purchase is kept back, without its time and its view."""
    told = pl.DataFrame(rows()).select(
        pl.col("user_id").alias("user"),
        pl.col("product_id").alias("item"),
        pl.col("event_time").str.to_datetime("%Y-%m-%dT%H:%M:%S%z").dt.epoch("s").alias("ts"),
        "event_type",
    )
    told = told.unique(["user", "item", "event_type"], keep="first", maintain_order=True)
    last = told.filter(event_type="purchase").unique("user", keep="last", maintain_order=True).select("user", "item")
    known = told.join(last, on=["user", "item"], how="anti", maintain_order="left").with_columns(held_out=False)
    kept = last.with_columns(ts=pl.lit(None, dtype=pl.Int64), event_type=pl.lit("purchase"), held_out=True)
    path = tmp_path_factory.mktemp("one out") / "events.parquet"
    pl.concat([known, kept.select(known.columns)]).write_parquet(path)
    return path


def test_taste_is_found_and_what_is_published_is_no_worse_than_its_best_member(in_time: ShopOutcome) -> None:
    by_model = in_time.figures["all"]
    assert {"popularity", "personal", "als", "item_cf", "content", "blend", "published"} <= set(by_model)
    assert by_model["published"]["ndcg@10"] > by_model["popularity"]["ndcg@10"]
    against = {(gain["target"], gain["baseline"]): gain for gain in in_time.gains}
    assert against["all", "popularity"]["low"] > 0
    assert against["all", "best member"]["high"] >= 0
    assert in_time.metrics["ndcg@10"] == by_model["published"]["ndcg@10"]
    assert in_time.metrics["ndcg@10_new"] == in_time.figures["new"]["published"]["ndcg@10"]


def test_people_gain_by_their_third_interaction(in_time: ShopOutcome) -> None:
    after = {row["group"]: row for row in in_time.slices if row["slice"] == "after"}
    assert list(after) == ["0", "1", "2", "3"]
    assert after["3"]["gain"] > 0


def test_products_that_nobody_took_before_are_found_by_what_the_catalogue_says(in_time: ShopOutcome) -> None:
    cold = in_time.more["cold"]
    assert cold["products"] == NEW
    # Both categories sell alike, so that what is popular in them knows nothing of people.
    mean, low, _ = cold["gain"]["ndcg@10"]
    assert mean > 0.1
    assert low > 0
    assert cold["figures"]["content"]["ndcg@10"] > max(
        own["ndcg@10"] for name, own in cold["figures"].items() if name != "content"
    )


def test_nothing_after_the_cut_off_changes_what_is_chosen(
    files: tuple[str, str], in_time: ShopOutcome, tmp_path: Path
) -> None:
    """Promise 6: another last fortnight, the same choices and validation figures."""
    day = pl.col("event_time").str.slice(0, 10) > str(CUTOFF)
    other = pl.read_csv(files[0]).with_columns(
        pl.when(day).then(pl.lit("p00")).otherwise("product_id").alias("product_id")
    )
    other.write_csv(tmp_path / "events.csv")
    made = shop([str(tmp_path / "events.csv"), files[1]], cutoff=CUTOFF, now=NOW, tuning=SMALL, threads=1)
    assert made.choice == in_time.choice
    assert made.validation == in_time.validation
    assert made.figures != in_time.figures


def test_one_purchase_of_each_person_is_kept_back(one_out: Path) -> None:
    made = shop([str(one_out)], cutoff=None, now=NOW, tuning=SMALL, threads=1, model="item_cf")
    assert made.model == "item_cf"
    assert made.metrics["hr@10"] == made.figures["all"]["item_cf"]["hr@10"]
    assert made.figures["all"]["published"]["hr@10"] >= made.figures["all"]["popularity"]["hr@10"]
    assert made.figures["all"]["ceiling"]["hr@10"] <= 1
    assert {row["model"] for row in made.more["event_weights"]} >= {"blend", "published"}
    assert made.more["split"]["people"] == PEOPLE


def test_the_command_tells_people_and_programs_the_same(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys_assets.benchmark.shop.Tuning", lambda: SMALL)
    words = ["benchmark", "shop", *files, "--cutoff", str(CUTOFF), "--model", "popularity"]
    told = CliRunner().invoke(recsys, words, catch_exceptions=False).output
    said = json.loads(CliRunner().invoke(recsys, [*words, "--json"], catch_exceptions=False).output.splitlines()[-1])
    assert said["model"] == "popularity"
    assert said["fit_seconds"] > 0
    assert {"recall@10", "hr@10", "ndcg@10_new", "score_seconds", "peak_mb", "gains", "slices", "cold"} <= set(said)
    assert f"ndcg@10 {said['ndcg@10']:.4f}" in told
    for line in ("over best member (", "products first sold after the cut-off: 6", "after 3"):
        assert line in told


def test_one_of_cut_off_and_held_out_is_asked_for(files: tuple[str, str]) -> None:
    for extra in ([], ["--cutoff", "2024-05-17", "--held-out"]):
        done = CliRunner().invoke(recsys, ["benchmark", "shop", *files, *extra])
        assert done.exit_code == 2


@pytest.mark.parametrize(
    ("cutoff", "model", "message"),
    [
        (date(2030, 1, 1), None, "the cut-off 2030-01-01 is not between"),
        (LAST, None, "is not between"),
        (CUTOFF, "oracle", "no model 'oracle'"),
    ],
)
def test_what_cannot_be_measured_is_said(files: tuple[str, str], cutoff: date, model: str | None, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        shop(files, cutoff=cutoff, now=NOW, model=model, tuning=SMALL)


def test_files_that_hold_no_split_are_refused(files: tuple[str, str], one_out: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no column held_out"):
        shop([files[0]], cutoff=None, now=NOW, tuning=SMALL)
    with pytest.raises(SourceError, match="no events in it, only catalog"):
        shop([files[1]], cutoff=CUTOFF, now=NOW, tuning=SMALL)
    with pytest.raises(RefusedError, match="takes one file"):
        shop([str(one_out), files[1]], cutoff=None, now=NOW, tuning=SMALL)
    nobody = pl.read_parquet(one_out).with_columns(held_out=False)
    nobody.write_parquet(tmp_path / "none.parquet")
    with pytest.raises(SourceError, match="held_out is false in every row"):
        shop([str(tmp_path / "none.parquet")], cutoff=None, now=NOW, tuning=SMALL)
    strange = pl.read_parquet(one_out).rename({"user": "x", "item": "y", "ts": "z"})
    strange.write_parquet(tmp_path / "strange.parquet")
    with pytest.raises(SourceError, match="are not understood; give --map FILE"):
        shop([str(tmp_path / "strange.parquet")], cutoff=None, now=NOW, tuning=SMALL)


def test_where_no_product_has_a_price_every_one_is_ranked() -> None:
    priced = catalog({"a": None, "b": None}, not_recommendable=("b",))
    assert recommendable(priced) == ["a"]
    bare = priced.with_columns(pl.lit(None, dtype=pl.Int64).alias("unit_price_micros"), not_recommendable=pl.lit("no"))
    assert recommendable(bare) == ["a", "b"]


def test_models_are_members_and_blends() -> None:
    assert {"published", "learned", "weights", "blend", "content", "popularity"} <= set(MODELS)
