import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from recsys_assets.commands.migrate import migrate
from recsys_assets.commands.publishing import generations
from recsys_assets.errors import HomeError
from recsys_assets.local.layout import migrate_home
from recsys_assets.serving.app import create
from recsys_assets.settings import CHECKOUT, Home, home_layout, open_home
from recsys_assets.stores.cache import POINTER_KEY
from recsys_assets.stores.postgres import Postgres, applied_schema, newest_schema
from recsys_assets.tables import COPY, PLANS
from recsys_assets_tests.published import DAY, ODD, PLANNING, Stores, frames
from recsys_assets_tests.serving.reading import asking, ids
from recsys_assets_tests.serving.test_lists import without_postgres, without_redis


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Exit code and output of `recsys migrate`."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(migrate, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return invoke


def test_it_says_what_is_to_be_done_does_it_and_then_there_is_nothing(run: Callable[..., tuple[int, str]]) -> None:
    newest = newest_schema()
    code, printed = run("--check")
    assert code == 1
    assert f"schema  0, to be brought to {newest}" in printed
    assert run("--check")[0] == 1  # it only told
    code, printed = run("--json")
    assert (code, json.loads(printed)["schema"]) == (0, {"before": 0, "program": newest})
    code, printed = run()
    assert (code, printed.splitlines()[1]) == (0, f"schema  {newest}, which is this program's")
    assert run("--check")[0] == 0


def test_a_newer_database_is_refused_everywhere(stores: Stores, run: Callable[..., tuple[int, str]]) -> None:
    stores.publish(["1"])
    with psycopg.connect(stores.postgres_url) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999)")
    for act in (
        run,
        lambda: run("--check"),
        lambda: stores.publish(["1", "2"]),
        lambda: stores.suppressions.optout(stores.key("1")),
        lambda: CliRunner().invoke(generations, [], catch_exceptions=False),
    ):
        with pytest.raises(HomeError, match="has schema 999; this program knows"):
            act()
    assert len(stores.rows()["generations"]) == 1

    async def start() -> None:
        app = create(stores.settings)
        async with app.router.lifespan_context(app):
            raise AssertionError("it serves")

    with pytest.raises(HomeError, match="has schema 999"):
        asyncio.run(start())


def view(file: str, name: str) -> str:
    """How the schema of that file made a view that a later one has replaced."""
    made = re.search(rf"CREATE VIEW {name} AS.*?;", (CHECKOUT / "sql" / "schema" / file).read_text(), re.DOTALL)
    assert made
    return made[0]


BACK_TO_7 = f"""
    DROP VIEW live_offers, live_copy, live_plans, live_lists, live_similar_items, current_products, live_products;
    ALTER TABLE lists DROP COLUMN model_sources, DROP COLUMN owned, DROP COLUMN withheld, DROP COLUMN tiers;
    ALTER TABLE similar_items DROP COLUMN source;
    ALTER TABLE products DROP COLUMN not_recommendable, DROP COLUMN price_tier;
    DROP TABLE plans, copy_texts;
    ALTER TABLE generations DROP COLUMN planning;
    {view("003_views.sql", "live_products")}
    {view("007_contract.sql", "current_products")}
    DELETE FROM schema_version WHERE version >= 8
"""


@pytest.fixture
def at_7(stores: Stores) -> Stores:
    """A published database and Redis as the program that knew schema 7 left them."""
    made = replace(frames([stores.key(user) for user in "12"]), plans=PLANS.empty(), copy=COPY.empty(), planning=None)
    for _ in range(2):
        stores.publisher.publish(DAY, made, model_version="1", keep=5)
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        connection.execute(BACK_TO_7)
    pointer = json.loads(stores.redis()[POINTER_KEY])
    del pointer["planning"]
    stores.cache._client.set(POINTER_KEY, json.dumps(pointer))
    return stores


def test_a_process_of_this_version_reads_schema_7_before_anybody_has_migrated_it(at_7: Stores) -> None:
    for stores in (at_7, without_redis(at_7), without_postgres(at_7)):
        with asking(stores) as one:
            assert ids(one.answer("1")) == ["a", "b", ODD]
            assert one.live.planning is None
            found = one.run(one.reader.sources.plan(one.live, at_7.key("1")))
            assert (found.suppressed, found.row) == (False, None)
            assert not one.reader.sources.postgres.failing
    assert applied(at_7) == 7


def applied(stores: Stores) -> int:
    with Postgres(stores.postgres_url).connect() as connection:
        return applied_schema(connection)


def test_from_7_to_8_what_was_published_stays_and_the_next_publish_has_plans(
    at_7: Stores, run: Callable[..., tuple[int, str]]
) -> None:
    code, printed = run("--check")
    assert code == 1
    assert f"schema  7, to be brought to {newest_schema()}" in printed
    assert run()[0] == 0
    at_7.publisher.warm()
    at_7.cache._client.flushall()
    assert at_7.publisher.warm() == 1 + 3 + 2 + 2
    assert at_7.publisher.rollback().generation.generation == 1
    done = at_7.suppressions.optout(at_7.key("1"))
    assert (done.lists, done.plans, done.cached, done.cached_plans) == (2, 0, 1, 0)  # of 1 generation of 2 in Redis
    assert at_7.publish(["1", "2"], keep=2).rows["plans"] == 1
    assert {name for name in at_7.rows() if name.startswith("lists_")} == {"lists_1", "lists_3"}
    with asking(at_7) as one:
        assert one.live.planning == PLANNING
        assert one.run(one.reader.sources.plan(one.live, at_7.key("2"))).row is not None


def test_every_table_and_column_says_what_it_holds_and_every_view_what_it_shows(stores: Stores) -> None:
    Postgres(stores.postgres_url).migrate()
    silent = """
        SELECT c.relname, a.attname FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'v'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
          AND (obj_description(c.oid, 'pg_class') IS NULL
               OR a.attnum IS NOT NULL AND col_description(c.oid, a.attnum) IS NULL)
    """
    with psycopg.connect(stores.postgres_url) as connection:
        assert connection.execute(silent).fetchall() == []


def edit(home: Home, layout: int) -> Path:
    file = home.path / "home.toml"
    text = file.read_text().replace("layout = 1", f"layout = {layout}")
    file.write_text(text + "\n[tuning]\nseed = 7\n")
    return file


def test_a_newer_home_is_refused_and_an_older_one_points_at_the_remedy(
    stores: Stores, run: Callable[..., tuple[int, str]]
) -> None:
    file = edit(stores.home, 2)
    file.write_text(file.read_text() + "\n[unheard_of]\nx = 1\n")  # whatever else is in it, the version is what is said
    for act in (run, lambda: run("--check"), lambda: open_home(stores.settings)):
        with pytest.raises(HomeError, match="has layout 2; this program knows layouts up to 1"):
            act()
    file.write_text(file.read_text().replace("layout = 2", "layout = 0"))
    with pytest.raises(HomeError, match="has layout 0, and this program 1: run `recsys migrate`"):
        open_home(stores.settings)


def test_steps_are_taken_in_order_each_once_and_one_that_failed_is_taken_again(home: Home) -> None:
    file = edit(home, 1)
    taken: list[int] = []

    def second(path: Path) -> None:
        taken.append(2)
        (path / "two").touch()

    def third(path: Path) -> None:
        taken.append(3)
        if taken.count(3) == 1:
            raise OSError("the disk is full")
        (path / "two").rename(path / "three")

    for _ in range(3):
        try:
            migrate_home(home.path, {2: second, 3: third}, to=3)
        except OSError:
            assert home_layout(home.path) == 2
    assert taken == [2, 3, 3]
    assert (home.path / "three").exists()
    assert home_layout(home.path) == 3
    assert "seed = 7" in file.read_text()  # what somebody has written into it stays
    assert file.stat().st_mode & 0o777 == 0o600
