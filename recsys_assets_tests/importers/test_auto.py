"""Formats told by their columns, and mapping files that are proposed where none fits."""

import gzip
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets_tests.importers.shop import Desk, csv_bytes, event, jsonl
from recsys_assets_tests.importers.test_bad_input import SAMPLES, made_of
from recsys_assets_tests.importers.workbook import workbook

REES46, RETAILROCKET = SAMPLES["rees46"], SAMPLES["retailrocket"]


def refusal(desk: Desk, path: Path) -> str:
    with pytest.raises(SourceError) as error:
        desk.take(path, "auto")
    assert list(desk.lake.deliveries()) == []
    return str(error.value)


@pytest.mark.parametrize("format", [name for name in SAMPLES if name != "mapped"])
def test_a_file_is_told_by_its_columns(desk: Desk, format: str) -> None:
    sample = SAMPLES[format]
    sample.beside(desk)
    path = desk.put(sample.name, made_of(sample, sample.rows))
    reports = desk.take(path, "auto")
    assert {report.format for report in reports} == {format}
    again = desk.take(path.parent if format == "complete_journey" else path, format)
    assert all(report.already_delivered for report in again)  # it is the same delivery as by name


def test_every_file_of_a_folder_by_itself(desk: Desk) -> None:
    desk.put("a/events.jsonl.gz", gzip.compress(jsonl([event()])))
    desk.put("a/products.parquet", b"")
    pl.DataFrame({"product_id": ["p"], "name": ["Rye"]}).write_parquet(desk.folder / "a/products.parquet")
    desk.put("b/2019-Oct.csv", made_of(REES46, REES46.rows))
    desk.put("c/events.csv", made_of(RETAILROCKET, RETAILROCKET.rows))
    desk.put("c/category_tree.csv", b"categoryid,parentid\n1,\n")
    desk.put("c/notes.csv", b"a,b\n1,2\n")  # beside files of a format that is a folder, others are no riddle
    found = {(report.format, Path(report.path).name, report.table) for report in desk.take(desk.folder, "auto")}
    assert found == {
        ("contract", "events.jsonl.gz", "landing_events"),
        ("contract", "products.parquet", "landing_catalog"),
        ("rees46", "2019-Oct.csv", "landing_events"),
        ("rees46", "2019-Oct.csv", "landing_catalog"),
        ("retailrocket", "events.csv", "landing_events"),
    }


def test_what_was_tried_is_said(desk: Desk) -> None:
    desk.put("good.csv", csv_bytes([event()]))
    path = desk.put("odd.csv", b"colour,weight\nred,7\n")
    said = refusal(desk, path.parent)
    assert said.startswith(f"{path}: no format has these columns: colour, weight. Tried:\n")
    assert "  rees46 (lacks event_time, event_type, " in said
    assert "  contract (as events it lacks event_type, event_time, user_id or anon_id, product_id)" in said
    assert "[columns]" not in said
    for name, data, words in (
        ("headless.csv", b"1,anna@example.org,2024-05-01\n", "is the header line missing"),
        ("wide.csv", b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n", "longer than|columns"),
        ("sales.csv", b"product_id,qty,customer\np,1,anna\n", "contract .as events it lacks"),
        ("utf16.csv", "a,b\n".encode("utf-16"), "UTF-16"),
        ("empty.csv", b"", "empty"),
        ("cut.csv.gz", gzip.compress(csv_bytes([event()]), mtime=0)[:-9], "cut short"),
        ("text.jsonl", b"hello\n", "no column was found"),
    ):
        with pytest.raises(SourceError, match=words) as error:
            desk.take(desk.put(f"bad/{name}", data), "auto")
        assert "anna" not in str(error.value)


def test_options_of_one_format_are_refused(desk: Desk) -> None:
    path = desk.put("good.csv", csv_bytes([event()]))
    with pytest.raises(SourceError, match="auto takes neither --map nor --kind"):
        desk.take(path, "auto", kind="events")


EUROPE = """Kunde;ArtikelNr;Datum;Menge;Preis
anna;a1;01.05.2024 10:00;2;1.002,50
bob;a2;31.05.2024 11:00;-1;3,20
"""
TOTALS = "customer_id,sku,order_date,qty,total\n1,a,05/13/2024,2,5.00\n2,b,05/14/2024,1,3.10\n"
ACTIONS = "memberId\tgoods\tts\taction\n1\ta\t1714555800\tpv\n2\tb\t1714555801\tcart\n3\tc\t1714555802\tview\n"
SALES = "TRANSACTION_DT,CUSTOMER_ID,PRODUCT_ID,AMOUNT,SALES_PRICE\n5/13/2024,7,a,2,30\n5/1/2024,8,b,1,46\n"
DATED = "t_dat,customer_id,article_id,price\n2024-05-01,58a12d,0663713001,0.0508\n"
MICROSECONDS = (
    "event_timestamp,event_name,user_pseudo_id,item_id,price\n1714555800123456,view_item,1234567890.16,SKU-1,12.5\n"
)
YEN = 'order_date,customer_id,sku,qty,unit_price\n2024-05-01 10:00:00,1,a,1,"1,980"\n2024-05-02 10:00:00,2,b,1,980\n'
DOLLARS = 'order_date,customer_id,sku,unit_price\n5/13/2024 9:15 PM,1,a,"$1,299.00"\n5/1/2024 9:15 AM,2,b,$12.50\n'
SHEET_DAYS = "date,customer,sku,price\n45413.5,1,a,2.50\n"
ORDERS = (
    "order_id,date_created,status,customer_id,sku,qty,total\n"
    "1,2024-05-01 10:00:00,completed,0,a,2,5.00\n2,2024-05-01,refunded,7,b,1,3\n"
)
FOUR = "when,customer,sku,paid\n2024-05-01 10:12:00,17,A-100,2.49\n"  # the README's
HAPPENED = "user,product,time,event\n1,a,2024-05-01 10:00:00,view\n2,b,2024-05-02 10:00:00,buy\n"
CATALOGUE = "sku;title;preis\n1;Rye;2,50\n2;Bun;0,40\n"


@pytest.mark.parametrize(
    ("name", "text", "lines", "micros"),
    [
        (
            "europe.csv",
            EUROPE,
            ['format = "%d.%m.%Y %H:%M"', 'decimal = ","', 'delimiter = ";"', "negative_quantity = true"],
            [1_002_500_000, 3_200_000],
        ),
        ("totals.csv", TOTALS, ['format = "%m/%d/%Y"', 'total = "total"'], [2_500_000, 3_100_000]),
        ("actions.tsv", ACTIONS, ['format = "epoch_seconds"', '"pv" = "view"', '"cart" = "add_to_cart"'], [None] * 3),
        (
            "sales.csv",
            SALES,
            ['event_time = "TRANSACTION_DT"', 'user_id = "CUSTOMER_ID"', 'quantity = "AMOUNT"', 'format = "%m/%d/%Y"'],
            [30_000_000, 46_000_000],
        ),
        ("dated.csv", DATED, ['event_time = "t_dat"', 'product_id = "article_id"'], [50_800]),
        (
            "web.csv",
            MICROSECONDS,
            ['format = "epoch_microseconds"', 'anon_id = "user_pseudo_id"', '"view_item" = "view"'],
            [12_500_000],
        ),
        ("yen.csv", YEN, ['grouping = ","  # 1,980 is read as 1980'], [1_980_000_000, 980_000_000]),
        (
            "dollars.csv",
            DOLLARS,
            ['grouping = ","', 'symbols = ["$"]', 'format = "%m/%d/%Y %I:%M %p"'],
            [1_299_000_000, 12_500_000],
        ),
        ("mail.csv", FOUR.replace("customer", "E-Mail"), ['user_id = "E-Mail"  # names a person'], [2_490_000]),
        (
            "tills.csv",
            FOUR.replace("customer", "receipt_no"),
            ['anon_id = "receipt_no"  # no column tells who'],
            [2_490_000],
        ),
        ("days.csv", SHEET_DAYS, ['format = "excel"'], [2_500_000]),
        ("orders.csv", ORDERS, ['anon_id = "order_id"  # of guests', '"status" = ["refunded"]'], [2_500_000]),
        ("four.csv", FOUR, ['unit_price = "paid"', 'event_type = "purchase"'], [2_490_000]),
        ("happened.csv", HAPPENED, ['event_type = "event"', '"buy" = "purchase"'], [None] * 2),
        ("catalogue.csv", CATALOGUE, ['kind = "catalog"', 'decimal = ","'], [2_500_000, 400_000]),
    ],
)
def test_a_proposed_mapping_works_when_saved(
    desk: Desk, name: str, text: str, lines: list[str], micros: list[int | None]
) -> None:
    path = desk.put(name, text.encode())
    said = refusal(desk, path)
    assert "it is a guess" in said
    for line in lines:
        assert line in said
    proposal = desk.put("shop.toml", said[said.index("# A guess") :].encode())
    (report,) = desk.take(path, "mapped", map=proposal)
    assert (report.clean, report.rejected) == (len(micros), {})
    landed = desk.landed("catalog" if name == "catalogue.csv" else "events")
    assert landed["unit_price_micros"].to_list() == micros


def test_a_proposal_for_parquet(desk: Desk) -> None:
    path = desk.put("x.parquet", b"")
    rows = {"user": [1, 2], "item": [7, 8], "ts": [1714555800000, None], "event_type": ["view", "anna"]}
    pl.DataFrame(rows).write_parquet(path)
    said = refusal(desk, path)
    assert 'format = "epoch_milliseconds"' in said
    assert "anna" not in said


def test_a_proposal_for_records_with_values_inside_values(desk: Desk) -> None:
    lines = [{"sku": "a", "qty": 2, "price": 2.5}, {"sku": "b", "qty": 1, "price": 3}]
    order = {"tags": [{"x": 1}], "ts": 1714555800000, "who": {"customer_id": 7}, "basket": {"lines": lines}}
    path = desk.put("x.jsonl", jsonl([order]))
    said = refusal(desk, path)
    for line in ('product_id = "basket.lines[].sku"', 'user_id = "who.customer_id"', 'format = "epoch_milliseconds"'):
        assert line in said
    proposal = desk.put("shop.toml", said[said.index("# A guess") :].encode())
    (report,) = desk.take(path, "mapped", map=proposal)
    assert (report.clean, report.rejected) == (2, {})
    assert desk.landed()["unit_price_micros"].to_list() == [2_500_000, 3_000_000]


def test_a_date_that_fits_two_ways_is_said_to(desk: Desk) -> None:
    path = desk.put("x.csv", b"user,sku,date\n1,a,05/04/2024\n")
    assert "every row that was looked at also fits %m/%d/%Y" in refusal(desk, path)


def test_whoever_names_a_person_is_no_catalogue(desk: Desk) -> None:
    for person in ("customer_id", "email", "order_id", "session_id"):
        said = refusal(desk, desk.put(f"{person}.csv", f"{person},sku,price,name\n1,a,2,Rye\n".encode()))
        assert "kind =" not in said
        (desk.folder / f"{person}.csv").unlink()


def test_a_proposal_is_a_file_with_the_homes_time_zone(desk: Desk) -> None:
    desk = replace(
        desk, home=replace(desk.home, config=desk.home.config.model_copy(update={"time_zone": "Asia/Tokyo"}))
    )
    path, folder = desk.put("four.orders.csv", FOUR.encode()), desk.folder / "here"
    folder.mkdir()
    for _ in range(2):
        with pytest.raises(SourceError, match=r"in .*four\.map\.toml, and see"):
            desk.take(path, "auto", proposals=folder, check=True)
    assert [file.name for file in folder.iterdir()] == ["four.map.toml"]
    assert 'zone = "Asia/Tokyo"' in (folder / "four.map.toml").read_text(encoding="utf-8")
    (report,) = desk.take(path, "mapped", map=folder / "four.map.toml", check=True)
    assert report.clean == 1
    with pytest.raises(SourceError, match=r"four\.map2\.toml"):
        desk.take(desk.put("four.csv", FOUR.replace("paid", "price").encode()), "auto", proposals=folder)
    (folder / "four.map3.toml").write_bytes(b"\xff")  # of somebody else
    (folder / "four.map4.toml").mkdir()
    with pytest.raises(SourceError, match=r"four\.map5\.toml"):
        desk.take(desk.put("four.csv", FOUR.replace("sku", "item").encode()), "auto", proposals=folder)


def test_a_month_comes_first_in_america(desk: Desk) -> None:
    config = desk.home.config.model_copy(update={"time_zone": "America/New_York"})
    path = desk.put("x.csv", b"user,sku,date\n1,a,05/04/2024\n")
    said = refusal(replace(desk, home=replace(desk.home, config=config)), path)
    assert 'format = "%m/%d/%Y"  # every row that was looked at also fits %d/%m/%Y' in said


def test_a_workbook_gets_a_proposal(desk: Desk) -> None:
    path = desk.put("x.xlsx", workbook({"a": [("when", "customer", "sku", "paid"), ("2024-05-01", 17, "a", 2.49)]}))
    said = refusal(desk, path)
    map = desk.put("shop.toml", said[said.index("# A guess") :].encode())
    assert desk.take(path, "mapped", map=map)[0].clean == 1


def test_what_stands_beside_an_amount_is_repeated_only_if_it_is_money(desk: Desk) -> None:
    said = refusal(
        desk, desk.put("x.csv", "customer,sku,date,price\n1,a,2024-05-01,Anna 5\n2,b,2024-05-01,5 €\n".encode())
    )
    assert 'symbols = ["€"]' in said
    assert "Anna" not in said
