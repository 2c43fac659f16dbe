"""dbt for real: made tables in Postgres, a build, and figures that were added up by hand."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from psycopg import sql

from recsys_assets.errors import NotFoundError, RefusedError
from recsys_assets.local import dbt as local
from recsys_assets.local.dbt import Outcome, dbt, write_docs
from recsys_assets.local.supervisor import Servers, platform_environment
from recsys_assets.settings import CHECKOUT, Home, Settings, init_home, load_settings
from recsys_assets.stores.marts import load
from recsys_assets.stores.postgres import Postgres
from recsys_assets.tables import DAILY_SALES, LIST_COVERAGE, Table

DAY, NEXT = date(2024, 3, 1), date(2024, 3, 2)


def frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(table.columns) | row for row in rows], schema=table.columns)


def sold(day: date, category: str, orders: int, revenue_micros: int, **more: Any) -> dict[str, Any]:
    counts = {"orders": orders, "buyers": orders, "lines": 2 * orders, "units": 3 * orders}
    row = {"event_date": day, "category": category, "revenue_micros": revenue_micros, "returned_units": 0}
    return row | counts | {"returned_micros": 0} | more


SALES = [
    sold(DAY, "", 8, 30_000_001, sessions=20, converted_sessions=8, visitors=15, views=40, carts=9),
    sold(DAY, "Bread", 5, 10_000_000, returned_units=None, returned_micros=None),
    sold(DAY, "(other)", 3, 20_000_001),
    {"event_date": NEXT, "category": "", "sessions": 7, "visitors": 6, "views": 7, "returned_units": 0},
]
COVERAGE = [
    {"as_of_date": DAY, "category": "", "products": 10, "recommendable": 8, "listed_products": 6, "served_products": 4,
     "people": 5, "places": 20, "purchased_places": 5, "places_micros": 50_000_000},
    {"as_of_date": DAY, "category": "Bread", "products": 10, "recommendable": 8, "served_products": 4, "places": 20},
]  # fmt: skip


@dataclass(frozen=True)
class Built:
    home: Home
    settings: Settings
    outcomes: list[Outcome]

    def rows(self, mart: str) -> list[dict[str, Any]]:
        with Postgres(self.settings.postgres_url).connect() as connection:
            query = sql.SQL("SELECT * FROM {} ORDER BY 1, 2, 3").format(sql.Identifier("marts", mart))
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, database: Callable[[], str]) -> Built:
    url = database()
    folder = tmp_path_factory.mktemp("marts") / "a shop"
    settings = load_settings({"RECSYS_HOME": str(folder), "RECSYS_POSTGRES_URL": url, "RECSYS_REDIS_URL": "redis://x"})
    home = init_home(settings, first_day=DAY, time_zone="UTC", currency="EUR")
    load(Postgres(url), DAILY_SALES, [DAY, NEXT], frame(DAILY_SALES, SALES))
    load(Postgres(url), LIST_COVERAGE, [DAY], frame(LIST_COVERAGE, COVERAGE))
    return Built(home, settings, dbt(home, url, ("build",)))


def test_every_model_is_built_and_every_test_passes(built: Built) -> None:
    assert [o for o in built.outcomes if o.status not in ("success", "pass")] == []
    kinds = [outcome.unique_id.partition(".")[0] for outcome in built.outcomes]
    assert kinds.count("unit_test") == 5
    assert kinds.count("test") > kinds.count("model") == 8


def test_what_sales_marts_say(built: Built) -> None:
    day, withheld = built.rows("sales_daily")
    assert day["sales_date"] == DAY
    assert day["revenue"] == Decimal("30.000001")
    assert day["average_order_value"] == Decimal("3.750000")  # 30.000001 / 8, to six digits
    assert (day["units_per_order"], day["conversion_rate"]) == (3, Decimal("0.4"))
    assert (withheld["revenue"], withheld["average_order_value"], withheld["sessions"]) == (None, None, 7)
    other, bread = built.rows("sales_by_category")[:2]
    if other["category"] == "Bread":
        other, bread = bread, other
    assert (bread["revenue_share"], bread["average_unit_price"]) == (Decimal("0.333333"), Decimal("0.666667"))
    assert other["returned_units"] == 0


def test_what_coverage_marts_say(built: Built) -> None:
    (day,) = built.rows("coverage_daily")
    assert (day["catalogue_coverage"], day["candidate_coverage"]) == (Decimal("0.5"), Decimal("0.75"))
    assert (day["places_per_person"], day["purchased_share"]) == (4, Decimal("0.25"))
    assert day["average_served_price"] == Decimal("2.5")
    (bread,) = built.rows("coverage_by_category")
    assert bread["places_share"] == 1


def test_the_password_stands_in_no_file(built: Built) -> None:
    password = built.settings.postgres_url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert len(password) > 10
    files = [*built.home.logs.rglob("*"), *(built.home.path / "dbt").rglob("*")]
    assert any(file.name == "dbt.log" for file in files)
    assert not any(password.encode() in file.read_bytes() for file in files if file.is_file())
    for folder in ("target", "logs", "dbt_project/logs"):
        assert not (CHECKOUT / folder).exists()


def test_a_day_is_replaced_whole(built: Built) -> None:
    postgres = Postgres(built.settings.postgres_url)
    with postgres.connect() as connection:
        assert (
            load(postgres, DAILY_SALES, [NEXT], frame(DAILY_SALES, [sold(NEXT, "", 1, 5), sold(NEXT, "x", 1, 5)])) == 2
        )
        assert load(postgres, DAILY_SALES, [NEXT], frame(DAILY_SALES, SALES[3:])) == 1
        found = connection.execute("SELECT count(*) AS rows FROM daily_sales").fetchone()
    assert found == {"rows": len(SALES)}


def test_docs_are_one_page_and_made_once(built: Built) -> None:
    page = write_docs(built.home, built.settings.postgres_url)
    assert b"catalogue_coverage" in page.read_bytes()
    before = page.stat().st_mtime_ns
    assert write_docs(built.home, "postgresql://nobody@127.0.0.1:1/none") == page
    assert page.stat().st_mtime_ns == before


def test_a_broken_sum_fails_the_run_by_the_name_of_its_check(built: Built) -> None:
    url = built.settings.postgres_url
    broken = [*SALES[:1], sold(DAY, "Bread", 5, 10_000_001), SALES[2]]
    load(Postgres(url), DAILY_SALES, [DAY], frame(DAILY_SALES, broken))
    try:
        told = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "recsys_assets_tests.assets.run_marts", str(DAY)],
            cwd=CHECKOUT,
            env=platform_environment(built.settings, built.home, Servers(url, url, url, built.settings.redis_url)),
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        load(Postgres(url), DAILY_SALES, [DAY], frame(DAILY_SALES, SALES[:3]))
    found = json.loads(told.stdout.splitlines()[-1])
    assert not found["success"]
    assert found["failed"] == {"sales_by_category_add_up": 1}
    assert found["rows"]["sales_by_category"] == 2


def test_a_database_that_is_away_is_one_error_with_the_log(built: Built) -> None:
    with pytest.raises(RefusedError, match=r"`dbt build` ended with code [12]"):
        dbt(built.home, "postgresql://nobody:x@127.0.0.1:1/none", ("build",))


def test_without_a_manifest_the_error_says_what_makes_one(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setattr(local, "MANIFEST", home.path / "none.json")
    with pytest.raises(NotFoundError, match="run `make environment`"):
        local.manifest()
