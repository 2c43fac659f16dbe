"""The whole day on a made shop, as real Dagster runs on real servers."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any

import pytest

from recsys_assets.identity import KeyRing
from recsys_assets.logic.publication import TAG
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import generations
from recsys_assets.stores.suppressions import Suppressions
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import BROKEN_PER_DAY, FIRST, LAST
from recsys_assets_tests.bucket import s3_server

OpenShop = Callable[..., AbstractContextManager[Shop]]
DAYS = (LAST - FIRST).days + 1
KILLED_AT = ("clean_and_rejected_events", "evaluation", "lists", "generation")


def whole_day(shop: Shop, **variables: str) -> dict[str, Any]:
    history = shop.run("history", FIRST, LAST, **variables)
    assert history["success"], history["failures"]
    daily = shop.run("daily", LAST, LAST, **variables)
    assert daily["success"], daily["failures"]
    return history | {"assets": daily["assets"] | history["assets"], "checks": daily["checks"]}


def hash_of(told: dict[str, Any]) -> str:
    return str(told["assets"]["lists"][LAST.isoformat()]["list_hash"])


@pytest.fixture(scope="module")
def shop(open_shop: OpenShop) -> Iterator[Shop]:
    with open_shop() as made:
        yield made


@pytest.fixture(scope="module")
def day(shop: Shop) -> dict[str, Any]:
    return whole_day(shop)


def test_the_day_is_live_and_every_check_passed(shop: Shop, day: dict[str, Any]) -> None:
    live = [generation for generation in generations(shop.servers.postgres_url) if generation.live]
    assert [generation.day for generation in live] == [LAST]
    assert live[0].list_hash == hash_of(day)
    assert all(passed for passed, _ in day["checks"].values()), day["checks"]


def test_each_day_of_a_range_has_its_own_rows(day: dict[str, Any]) -> None:
    rejected = day["assets"]["rejected_events"]
    assert len(rejected) == DAYS
    assert {values["dagster/row_count"] for values in rejected.values()} == {BROKEN_PER_DAY}
    assert "events_per_day" not in day["assets"]["clean_events"][FIRST.isoformat()]


def test_metadata_holds_no_person(shop: Shop, day: dict[str, Any]) -> None:
    text = repr(day)
    for person in range(40):
        assert shop.home.keys.user_key(f"person {person}") not in text
    assert "person 1" not in text


def test_the_same_day_again_with_one_thread_gives_the_same_lists(shop: Shop, day: dict[str, Any]) -> None:
    again = shop.run("daily", LAST, LAST, RECSYS_THREADS="1", POLARS_MAX_THREADS="1")
    assert hash_of(again) == hash_of(day)


def test_shuffled_files_and_a_lake_in_a_bucket_give_the_same_lists(open_shop: OpenShop, day: dict[str, Any]) -> None:
    with s3_server() as s3, open_shop(shuffle=random.Random(7).shuffle) as shop:
        url = f"{s3.new_bucket()}/a/lake"
        assert hash_of(whole_day(shop, RECSYS_LAKE_URL=url, **s3.variables)) == hash_of(day)
        assert not shop.home.lake.exists()
        lost = shop.run("daily", LAST, LAST, RECSYS_LAKE_URL="s3://lost/lake", **s3.variables)
    assert not lost["success"]
    assert lost["failures"][0] == "RECSYS_LAKE_URL: there is no bucket lost. Make it, or name another one."


def test_a_run_killed_at_any_asset_is_repaired_by_running_it_again(open_shop: OpenShop, day: dict[str, Any]) -> None:
    with open_shop() as killed:
        assert killed.run("history", FIRST, LAST)["success"]
        for step in KILLED_AT:
            with killed.start("daily", LAST, LAST) as process:
                assert process.stderr is not None
                for line in process.stderr:
                    if "STEP_START" in line and f'step "{step}"' in line:
                        process.kill()
                        break
            assert process.returncode == -9, step
            assert not any(generation.live for generation in generations(killed.servers.postgres_url))
        repaired = killed.run("daily", LAST, LAST)
        assert repaired["success"], repaired["failures"]
        assert hash_of(repaired) == hash_of(day)


def live_day(shop: Shop) -> date:
    return next(generation.day for generation in generations(shop.servers.postgres_url) if generation.live)


def test_a_past_day_is_computed_and_checked_and_published_by_a_wish_alone(shop: Shop, day: dict[str, Any]) -> None:
    before = LAST - timedelta(1)
    past = shop.run("daily", before, before)
    assert past["success"], past["failures"]
    told = past["assets"]["generation"][before.isoformat()]
    assert (told["published"], told["why"].endswith(f"for {LAST} is live, which is later")) == (False, True)
    assert told["list_hash"] == past["assets"]["lists"][before.isoformat()]["list_hash"]
    assert past["checks"]["reasons_are_true"][0]
    assert "not to be published" in past["checks"]["may_go_live"][1]
    assert live_day(shop) == LAST

    only_computed = shop.run("daily", LAST, LAST, wish="no")
    assert only_computed["success"], only_computed["failures"]
    assert only_computed["assets"]["generation"][LAST.isoformat()]["why"] == "it was to be computed only"
    misspelt = shop.run("daily", LAST, LAST, wish="maybe")
    assert f"the tag {TAG} of the run is 'maybe': it says yes or no." in misspelt["failures"]

    wanted = shop.run("daily", before, before, wish="yes")
    assert wanted["success"], (wanted["failures"], wanted["checks"])
    assert wanted["assets"]["generation"][before.isoformat()]["published"]
    assert live_day(shop) == before
    newest = shop.run("daily", LAST, LAST)
    assert newest["success"], newest["failures"]
    assert live_day(shop) == LAST


def test_a_past_day_that_differs_from_what_is_live_is_green_where_it_is_not_published(
    shop: Shop, day: dict[str, Any]
) -> None:
    before, file = LAST - timedelta(1), shop.home.path / "home.toml"
    whole = file.read_text()
    file.write_text(whole + "[tuning.promotion]\nchurn_at_most = 0.0\n")
    try:
        past = shop.run("daily", before, before)
        assert past["success"], past["failures"]
        assert not past["checks"]["may_go_live"][0]
        refused = shop.run("daily", before, before, wish="yes")
        assert not refused["success"]
        assert live_day(shop) == LAST
    finally:
        file.write_text(whole)


def test_somebody_who_opted_out_is_not_in_the_next_generation(shop: Shop, day: dict[str, Any]) -> None:
    keys: KeyRing = shop.home.keys
    with_everybody = next(g for g in generations(shop.servers.postgres_url) if g.live)
    people = Suppressions(Postgres(shop.servers.postgres_url), Cache(shop.servers.redis_url), keys)
    assert people.optout(keys.user_key("person 3")).cache_problem is None
    assert shop.run("daily", LAST, LAST)["success"]
    with Postgres(shop.servers.postgres_url).connect() as connection:
        rows = connection.execute(
            "SELECT generation, count(*) AS people, bool_or(mark = %s) AS theirs FROM lists GROUP BY 1 ORDER BY 1",
            [keys.mark(keys.user_key("person 3"))],
        ).fetchall()
    assert rows[-1]["generation"] > with_everybody.generation
    assert not any(row["theirs"] for row in rows)
