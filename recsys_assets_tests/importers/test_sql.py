"""Tables and queries of a database: what a read lands, what the next one changes, and what a broken one leaves."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa

from recsys_assets.errors import SourceError, StoreError
from recsys_assets.importers import sql
from recsys_assets_tests.importers.shop import Desk, reasons

MAPPING = """
kind = "events"
[columns]
event_type = "what"
event_time = "at"
user_id = "customer"
product_id = "sku"
quantity = "units"
unit_price = "price"
[sql]
"""
TABLE = """CREATE TABLE sales (
    id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, inserted timestamptz DEFAULT '2024-05-20', what text,
    customer text, sku integer, units integer, price numeric(10, 2), note jsonb, mail text
)"""
COLUMNS = "INSERT INTO sales (at, what, customer, sku, units, price) VALUES"
FIRST = f"""{COLUMNS} ('2024-05-01 10:00+02', 'purchase', 'anna', 7, 2, 2.49),
    ('2024-05-01 11:00+02', 'purchase', 'bob', 8, 1, 0.10), ('2024-05-02 10:00+02', 'view', 'anna', 7, NULL, NULL)"""


@pytest.fixture(scope="module")
def url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def shop(url: str) -> Iterator[psycopg.Connection[Any]]:
    """The shop's own database, with one table of three sales."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS sales CASCADE")
        connection.execute(TABLE)
        connection.execute(FIRST)
        yield connection


def mapping(desk: Desk, section: str = 'table = "sales"', rules: str = MAPPING) -> Path:
    return desk.put("shop.toml", (rules + section).encode())


def take(desk: Desk, url: str, map: Path, **how: Any) -> Any:
    (report,) = desk.take(url, "sql", map=map, **how)
    return report


def parts(desk: Desk) -> dict[str, int]:
    """Days and when their parts were written."""
    return {f"{p.parent.name}/{p.name}": p.stat().st_mtime_ns for p in desk.home.lake.rglob("*.parquet")}


def test_a_table_lands(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    report = take(desk, url, mapping(desk))
    assert (report.rows, report.clean, report.days) == (3, 3, {"2024-05-01": 2, "2024-05-02": 1})
    assert report.ignored == ("id", "inserted", "note", "mail")
    assert ("customer", "user_id") in report.mapping
    landed = desk.landed().sort("event_time")
    assert landed["unit_price_micros"].to_list() == [2_490_000, 100_000, None]
    assert landed["product_id"].to_list() == ["7", "8", "7"]
    assert landed["user_key"].to_list() == [desk.home.keys.user_key(who) for who in ("anna", "bob", "anna")]
    assert landed["event_time"][0] == datetime(2024, 5, 1, 8, tzinfo=UTC)
    assert sorted(landed["source_line"]) == [1, 2, 3]
    assert landed["source_offset"].null_count() == 3


def test_the_same_rows_again_change_nothing(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    take(desk, url, mapping(desk))
    before = parts(desk)
    shop.execute("UPDATE sales SET note = '{}'")  # Postgres gives the rows in another order now; the column is not read
    shop.execute("UPDATE sales SET units = units WHERE customer = 'anna'")
    report = take(desk, url, mapping(desk))
    assert (report.already_delivered, report.changed) == (True, ())
    assert parts(desk) == before


def test_a_changed_day_is_replaced_and_the_others_stay(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    take(desk, url, mapping(desk))
    before = parts(desk)
    shop.execute("UPDATE sales SET price = 5 WHERE customer = 'bob'")
    shop.execute(f"{COLUMNS} ('2024-05-03 10:00Z', 'purchase', 'carl', 9, 0, 1)")
    checked = take(desk, url, mapping(desk), check=True)
    assert parts(desk) == before
    report = take(desk, url, mapping(desk))
    assert checked == report
    assert (report.rows, report.clean, report.redelivered, reasons(report)) == (4, 2, 1, {"quantity_zero": 1})
    assert report.changed == ("2024-05-01", "2024-05-03")
    assert desk.landed()["unit_price_micros"].sum() == 2_490_000 + 5_000_000 + 1_000_000
    assert set(parts(desk).items()) & set(before.items()) == {p for p in before.items() if "2024-05-02" in p[0]}


def test_a_day_that_is_gone_is_withdrawn(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    take(desk, url, mapping(desk))
    shop.execute("DELETE FROM sales WHERE what = 'view'")
    report = take(desk, url, mapping(desk))
    assert (report.already_delivered, report.changed) == (False, ("2024-05-02",))
    assert desk.landed().height == 2
    assert len(list(desk.lake.deliveries())) == 1


def test_a_corrected_mapping_replaces_what_the_wrong_one_landed(
    desk: Desk, url: str, shop: psycopg.Connection[Any]
) -> None:
    take(desk, url, mapping(desk, rules=MAPPING.replace('"customer"', '"sku"')))
    right = mapping(desk)
    with pytest.raises(SourceError, match="Add --replace"):
        take(desk, url, right)
    report = take(desk, url, right, replace_landed=True)
    assert report.changed == ("2024-05-01", "2024-05-02")
    assert desk.landed().height == 3


def test_a_growing_table_is_read_from_the_day_before_its_newest(
    desk: Desk, url: str, shop: psycopg.Connection[Any]
) -> None:
    map = mapping(desk, 'table = "sales"\nsince = "inserted"')
    assert take(desk, url, map).rows == 3
    assert {delivery.read_to for delivery in desk.lake.deliveries()} == {"2024-05-19"}
    assert take(desk, url, map).already_delivered
    late = "INSERT INTO sales (at, inserted, what, customer, sku) VALUES"
    shop.execute(f"{late} ('2024-05-01', '2024-05-19 01:00Z', 'view', 'late', 9)")  # committed after a newer one
    shop.execute(f"{late} ('2024-05-21', '2024-05-21', 'view', 'carl', 9), ('2024-05-21', NULL, 'view', 'dora', 9)")
    shop.execute(f"{late} ('2024-05-21', '2099-01-01', 'view', 'emma', 9)")  # a clock gone wrong stops nothing
    report = take(desk, url, map)
    assert (report.rows, report.clean, report.redelivered) == (7, 4, 3)
    assert report.changed == ("2024-05-01", "2024-05-21")
    assert sorted(str(delivery.read_to) for delivery in desk.lake.deliveries()) == ["2024-05-19", "2024-05-20"]
    shop.execute("DELETE FROM sales WHERE inserted < '2024-05-21'")
    assert take(desk, url, map).clean == 0
    shop.execute("DELETE FROM sales")
    assert take(desk, url, map).already_delivered


def test_a_query(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    words = "SELECT *, 'x:y%z' AS odd FROM sales WHERE at::date >= '2024-05-02' AND what LIKE 'v%w' ORDER BY id;"
    report = take(desk, url, mapping(desk, f'query = "{words}"'))
    assert (report.rows, report.ignored[-1]) == (1, "odd")
    assert report.path.endswith(" query")


def test_chunks(desk: Desk, url: str, shop: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "CHUNK", 7)
    some = "SELECT '2024-05-04', 'view', 'u-' || n, n, 1, 1 FROM generate_series(1, 50) n"
    shop.execute(f"{COLUMNS.removesuffix(' VALUES')} {some}")
    assert take(desk, url, mapping(desk)).rows == 53
    assert desk.landed()["product_id"].n_unique() == 50


@pytest.mark.parametrize("at", ["connecting", "in the middle"])
def test_a_connection_that_drops_leaves_every_day_as_it_was(
    desk: Desk, url: str, shop: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    take(desk, url, mapping(desk))
    before, held = parts(desk), list(desk.lake.deliveries())
    shop.execute(
        f"{COLUMNS.removesuffix(' VALUES')} SELECT '2024-05-01', 'view', 'u', n, 1, 1 FROM generate_series(1, 5000) n"
    )
    if at == "connecting":
        url = sa.make_url(url).set(port=1).render_as_string(hide_password=False)
    else:
        monkeypatch.setattr(sql, "CHUNK", 100)
        add, calls = sql._Column.add, [0]

        def killed(self: sql._Column, values: Any) -> None:
            calls[0] += 1
            if calls[0] == 30:
                shop.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            add(self, values)

        monkeypatch.setattr(sql._Column, "add", killed)
    with pytest.raises(StoreError, match=r"does not answer or broke off .* Nothing landed"):
        take(desk, url, mapping(desk))
    assert (parts(desk), list(desk.lake.deliveries())) == (before, held)


def test_no_password_is_said_or_kept(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    said: list[str] = []
    password = str(sa.make_url(url).password)
    full = f"{url}?application_name={password}"
    take(desk, full, mapping(desk))
    kept = b"".join(file.read_bytes() for file in desk.home.path.rglob("*") if file.is_file())
    assert password.encode() not in kept
    for wrong in (
        full.replace("/test_", "/gone_"),
        full.replace("postgresql", "oracle+nothing"),
        full[:8] + " x" + full,
    ):
        with pytest.raises((SourceError, StoreError)) as error:
            take(desk, wrong, mapping(desk))
        said.append(str(error.value))
    assert password not in "".join(said)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("", "does not say which rows"),
        ('table = "sales"\nquery = "select 1"', "a table or a query, not both"),
        ('table = "sale"', "no such table; there are sales"),
        ('table = "sales"\nsince = "gone"', r"since names gone; the columns are id, at"),
        ('table = "sales"\nsince = "sku"', "needs a column of dates or times"),
        ('query = "selec 1"', "refuses .SyntaxError"),
        ('query = "select 1 as one"', "names the columns what, at"),
        (
            "query = \"select at, what, customer, sku, nextval('sales_id_seq') as units, price from sales\"",
            "refuses .ReadOnlySqlTransaction",  # a query writes nothing in the shop's database
        ),
        (
            'query = "select at, what, customer, sku, mail::int as units, price from sales"',
            "refuses .InvalidTextRepresentation.. Check",
        ),
        ("query = \"select * from sales where what = 'nothing'\"", "there are no rows"),
    ],
)
def test_a_wrong_question_is_one_error(
    desk: Desk, url: str, shop: psycopg.Connection[Any], section: str, words: str
) -> None:
    shop.execute("UPDATE sales SET mail = 'anna@example.org'")
    with pytest.raises(SourceError, match=words) as error:
        take(desk, url, mapping(desk, section))
    assert "anna" not in str(error.value)
    assert list(desk.lake.deliveries()) == []
    assert shop.execute("SELECT count(*) FROM sales").fetchone() == (3,)


def test_a_wrong_url_is_one_error(desk: Desk, tmp_path: Path) -> None:
    map = mapping(desk)
    for url, words in (
        ("sales.csv", "a database's URL"),
        ("mysql+mysqldb://u@localhost/x", "the driver is not installed. Install the package MySQLdb"),
        ("nodb://u@localhost/x", "no driver is known for 'nodb'"),
        (f"sqlite:///{tmp_path}/gone.db", "no such file"),
    ):
        with pytest.raises(SourceError, match=words):
            take(desk, url, map)
    with pytest.raises(SourceError, match="needs a mapping file"):
        desk.take("sqlite://", "sql")
    with pytest.raises(SourceError, match=r"its section .sql. belongs to the format sql"):
        desk.take(desk.put("x.csv", b"a\n1\n"), "mapped", map=map)


def test_sqlite_and_values_of_all_kinds(desk: Desk, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    rows: list[dict[str, object]] = [
        {"at": "01.05.2024 10:00", "customer": 17850.0, "sku": "a", "units": 1, "price": 2.5, "what": "purchase"},
        {"at": "soon", "customer": None, "sku": b"\xc3\xbc", "units": 1, "price": "1.002,50", "what": "purchase"},
    ]
    pl_rows = pl.DataFrame({"day": ["2024-05-01", "2024-05-02"]})
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE sales (at, customer, sku, units, price, what, day)"))
        for row, day in zip(rows, pl_rows["day"], strict=True):
            connection.execute(
                sa.text("INSERT INTO sales VALUES (:at, :customer, :sku, :units, :price, :what, :day)"),
                row | {"day": day},
            )
    more = '[time]\nformat = "%d.%m.%Y %H:%M"\n[numbers]\ndecimal_comma = true\n[sql]\ntable = "sales"\nsince = "day"'
    rules = MAPPING.replace("[sql]\n", "")
    report = take(desk, f"sqlite:///{tmp_path}/shop.db", mapping(desk, more, rules))
    assert reasons(report) == {"event_time_unreadable": 1, "price_unreadable": 1}  # 2.5 among texts with a comma
    landed = desk.landed()
    assert landed["user_key"].to_list() == [desk.home.keys.user_key("17850"), None]
    assert landed["product_id"].to_list() == ["a", "ü"]
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO sales VALUES ('02.05.2024 11:00', 7, 'b', 1, 1, 'purchase', '2024-05-02')")
        )
    assert take(desk, f"sqlite:///{tmp_path}/shop.db", mapping(desk, more, rules)).redelivered == 2


def test_a_catalogue_adds_up(desk: Desk, url: str, shop: psycopg.Connection[Any]) -> None:
    shop.execute("DROP TABLE IF EXISTS products")
    shop.execute("CREATE TABLE products AS SELECT 'p' AS sku, 'Rye' AS title, 2.5 AS price")
    rules = 'kind = "catalog"\n[columns]\nproduct_id = "sku"\nname = "title"\nunit_price = "price"\n[sql]\n'
    map = mapping(desk, 'table = "public.products"', rules)
    assert take(desk, url, map).changed == ("2024-01-01",)
    assert take(desk, url, map).already_delivered
    shop.execute("UPDATE products SET price = 3")
    assert take(desk, url, map).changed == ("2024-06-01",)
    assert desk.landed("catalog")["unit_price_micros"].sort().to_list() == [2_500_000, 3_000_000]
