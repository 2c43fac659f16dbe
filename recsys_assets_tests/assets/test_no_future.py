"""A day of the past, with and without everything that the shop sent of later days: every as-of table is the same."""

import csv
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from recsys_assets.stores.lake import Lake
from recsys_assets.tables import TABLES
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST

OpenShop = Callable[..., AbstractContextManager[Shop]]
RUN_TABLES = "recsys_assets_tests.assets.run_tables"
CUT = LAST - timedelta(7)
COLUMNS = ("event_type", "event_time", "user_id", "anon_id", "product_id", "quantity", "unit_price", "currency")


def cookie(day: date, number: int, product: int, kind: str, *, user: bool) -> dict[str, str]:
    """What somebody did with a cookie, logged in or not; paid in dollars."""
    return {
        "event_type": kind, "event_time": f"{day}T18:00:00Z", "user_id": f"person {number}" if user else "",
        "anon_id": f"cookie {number}", "product_id": f"p{product}", "quantity": "1", "unit_price": "3.25",
        "currency": "USD",
    }  # fmt: skip


def deliver(folder: Path, name: str, days: list[date], *, user: bool) -> None:
    rows = [cookie(day, n, 2 * n, kind, user=user) for day in days for n in range(6) for kind in ("view", "purchase")]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def lines(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def early(folder: Path) -> None:
    """Of the days up to the cut: cookies that nobody logged in with, locales, a rate."""
    deliver(folder, "cookies-early", [CUT - timedelta(n) for n in (3, 9, 20)], user=False)
    told = [{"user_id": f"person {n}", "locale": "en-GB", "updated_at": f"{FIRST}T08:00:00Z"} for n in range(10)]
    lines(folder, "users-early", [dict(one) for one in told])
    (folder / "rates-early.csv").write_text(f"date,currency,rate\n{FIRST},USD,0.9\n")


def later(folder: Path) -> None:
    """Of the days after it: logins with the cookies, other locales, another rate, a catalogue in which much is new."""
    day = CUT + timedelta(2)
    deliver(folder, "cookies-later", [day, LAST], user=True)
    told = [{"user_id": f"person {n}", "locale": "de-DE", "updated_at": f"{day}T08:00:00Z"} for n in range(40)]
    lines(folder, "users-later", [dict(one) for one in told])
    (folder / "rates-later.csv").write_text(f"date,currency,rate\n{day},USD,0.5\n")
    products: list[dict[str, object]] = [
        {
            "product_id": f"p{n}", "name": f"Another {n}", "category": "All > Else", "unit_price": "99.50",
            "currency": "EUR", "in_stock": n > 6, "updated_at": f"{day}T08:00:00Z",
        }
        for n in range(80)
    ]  # fmt: skip
    lines(folder, "products-later", products)


def of_the_cut(shop: Shop, last: date) -> dict[str, pl.DataFrame]:
    """Every as-of table of the cut, computed where days up to ``last`` are there."""
    with (shop.home.path / "home.toml").open("a") as file:  # quicker, and nothing to do with days
        file.write("\n[tuning.als]\nfactors = 8\n[tuning.evaluation]\nbootstrap = 100\n")
    told = shop.run("daily", CUT, last, RUN_TABLES)
    assert told["success"], told["failures"]
    lake = Lake(shop.home.lake_url)
    tables = [table for table in TABLES.values() if table.partition == "as_of" and CUT in lake.days(table)]
    return {table.name: lake.read(table, CUT) for table in tables}


def test_nothing_of_later_days_is_in_any_table_of_a_day(open_shop: OpenShop) -> None:
    def until_the_cut(rows: list[dict[str, str]]) -> None:
        rows[:] = [row for row in rows if row.get("event_time", "")[:10] <= str(CUT)]

    with open_shop() as shop:
        folder = Path(shop.home.config.sources[0].path)
        early(folder)
        later(folder)
        whole = of_the_cut(shop, LAST)
    with open_shop(until_the_cut) as shop:
        early(Path(shop.home.config.sources[0].path))
        alone = of_the_cut(shop, CUT)
    assert set(whole) == set(alone)
    known = {name for name, table in TABLES.items() if table.partition == "as_of"}
    assert known - set(whole) <= {"written_copy"}  # a language model writes it
    assert all(whole[name].height for name in ("catalog", "users", "evaluation", "plan_figures", "plans", "lists"))
    differ = [name for name in sorted(whole) if not whole[name].equals(alone[name])]
    assert differ == []
