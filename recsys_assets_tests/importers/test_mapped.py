"""Mapping files: other columns, other words, other times and numbers."""

import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers import mapped
from recsys_assets.importers.mapping import load_mapping
from recsys_assets_tests.importers.shop import Desk, reasons

INVOICES = """
kind = "events"
[columns]
user_id = "CustomerID"
product_id = "StockCode"
event_time = "InvoiceDate"
quantity = "Quantity"
unit_price = "UnitPrice"
order_id = "InvoiceNo"
[constants]
event_type = "purchase"
currency = "EUR"
[time]
format = "%d/%m/%Y %H:%M"
zone = "Europe/London"
[csv]
delimiter = ";"
encoding = "latin-1"
[numbers]
decimal_comma = true
[returns]
negative_quantity = true
"""
HEAD = "InvoiceNo;StockCode;Description;Quantity;InvoiceDate;UnitPrice;CustomerID\n"


def mapping(desk: Desk, text: str) -> Path:
    return desk.put("shop.toml", text.encode())


def test_invoices_in_another_hand(desk: Desk) -> None:
    lines = [
        "536365;85123A;Café;6;01/07/2024 08:26;1.002,55;17850",
        "C536379;D;Discount;-1;01/02/2024 09:41;27,5;14527",
        "536414;22139;;56;01/02/2024 11:52;0;",
        "1;2;x;1;32/02/2024 11:52;0;5",
    ]
    data = (HEAD + "\n".join(lines) + "\n").encode("latin-1")
    map = mapping(desk, INVOICES)
    (report,) = desk.take(desk.put("in.csv", data), "mapped", map=map, now=datetime(2025, 1, 1, tzinfo=UTC))
    assert reasons(report) == {"person_missing": 1, "event_time_unreadable": 1}
    assert report.ignored == ("Description",)
    landed = desk.landed()
    assert landed["event_type"].to_list()[:2] == ["purchase", "return"]
    assert landed["unit_price_micros"].to_list()[:2] == [1_002_550_000, 27_500_000]
    assert str(landed["event_time"][0]) == "2024-07-01 07:26:00+00:00"  # summer time
    assert str(landed["event_time"][1]) == "2024-02-01 09:41:00+00:00"


def test_other_words_for_event_types_and_times_with_utc(desk: Desk) -> None:
    text = """
kind = "events"
[columns]
event_type = "event_type"
event_time = "event_time"
user_id = "user_id"
product_id = "product_id"
unit_price = "price"
[event_types]
cart = "add_to_cart"
"""
    data = (
        b"event_time,event_type,product_id,price,user_id\n"
        b"2024-05-01 00:00:00 UTC,view,1,2.5,7\n2024-05-01 00:00:01 UTC,cart,1,2.5,7\n"
        b"2024-05-01 00:00:02 UTC,gift,1,,7\n"
    )
    (report,) = desk.take(desk.put("x.csv", data), "mapped", map=mapping(desk, text))
    assert reasons(report) == {"event_type_unknown": 1}
    assert desk.landed()["event_type"].to_list() == ["view", "add_to_cart", "gift"]


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("epoch_seconds", "1714555800"),
        ("epoch_seconds", "1714555800.5"),
        ("epoch_milliseconds", "1714555800000"),
        ("iso", "2024-05-01T09:30:00"),
    ],
)
def test_times(desk: Desk, format: str, value: str) -> None:
    text = f"""
kind = "events"
[columns]
event_time = "ts"
user_id = "u"
product_id = "p"
[constants]
event_type = "view"
[time]
format = "{format}"
"""
    data = f"ts,u,p\n{value},1,2\nx,1,2\n99999999999999999999,1,2\n".encode()
    (report,) = desk.take(desk.put("x.csv", data), "mapped", map=mapping(desk, text))
    assert str(desk.landed()["event_time"][0])[:19] == "2024-05-01 09:30:00"
    assert reasons(report) == {"event_time_unreadable": 2}


def test_price_as_the_total_of_a_line_in_parquet(desk: Desk) -> None:
    text = """
kind = "events"
[columns]
event_time = "t"
user_id = "u"
product_id = "p"
quantity = "n"
[constants]
event_type = "purchase"
[price]
total = "amount"
"""
    out = io.BytesIO()
    pl.DataFrame(
        {
            "t": ["2024-05-01"] * 5,
            "u": [1] * 5,
            "p": ["a"] * 5,
            "n": [3, 2, 0, None, -2],
            "amount": [1.0, 5.0, 4.0, 2.0, 3.0],
        }
    ).write_parquet(out)
    (report,) = desk.take(desk.put("x.parquet", out.getvalue()), "mapped", map=mapping(desk, text))
    # 1/3, 5/2, 4 for nothing, 2 for one (missing), 3/2 of a return
    assert desk.landed()["unit_price_micros"].to_list() == [333_333, 2_500_000, 4_000_000, 2_000_000, 1_500_000]
    assert reasons(report) == {"quantity_zero": 1, "quantity_negative": 1}


def test_catalogue(desk: Desk) -> None:
    text = 'kind = "catalog"\n[columns]\nproduct_id = "sku"\nname = "title"\n[constants]\nin_stock = true\n'
    (report,) = desk.take(desk.put("x.csv", b"sku,title\n1,Rye\n"), "mapped", map=mapping(desk, text))
    assert report.table == "landing_catalog"
    assert desk.landed("catalog").select("name", "in_stock").rows() == [("Rye", True)]


def test_a_corrected_mapping_replaces_what_the_wrong_one_landed(desk: Desk) -> None:
    columns = 'event_time = "t"\nuser_id = "a"\nproduct_id = "b"\n'
    wrong = f'kind = "events"\n[columns]\n{columns}[constants]\nevent_type = "view"\n'
    path = desk.put("x.csv", b"t,a,b,c\n2024-05-01,1,2,3\n")
    desk.take(path, "mapped", map=mapping(desk, wrong))
    right = mapping(desk, wrong.replace('"a"', '"c"'))
    with pytest.raises(SourceError, match=r"have landed: 1 rows of landing_events, of 2024-05-01, .* Add --replace"):
        desk.take(path, "mapped", map=right)
    assert desk.landed()["user_key"].to_list() == [desk.home.keys.user_key("1")]
    assert "takes the place of 1 rows" in desk.take(path, "mapped", map=right, check=True)[0].warnings[0]
    (report,) = desk.take(path, "mapped", map=right, replace_landed=True)
    assert not report.already_delivered
    assert report.changed == ("2024-05-01",)
    assert desk.landed()["user_key"].to_list() == [desk.home.keys.user_key("3")]
    assert len(list(desk.lake.deliveries())) == 1
    assert len(list(desk.home.lake.rglob("*.parquet"))) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind = ", "cannot be read"),
        ('[columns]\nuser_id = "u"', "kind: Field required"),
        ('kind = "events"\n[columns]\nuser = "u"', "no fields of events: user"),
        ('kind = "events"\n[columns]\nuser_id = "u"\n[constants]\nuser_id = "u"', "both column and constant"),
        ('kind = "events"\n[columns]\nuser_id = "u"\n[time]\nzone = "Mars"', "not a time zone"),
        ('kind = "events"\n[columns]\nuser_id = "u"\n[csv]\nencoding = "klingon"', "no encoding"),
        ('kind = "events"\n[columns]\nuser_id = "u"\n[csv]\ndelimitr = ";"', "csv.delimitr"),
        ('kind = "events"\n[columns]\nuser_id = "u"\n[event_types]\ncart = "basket"', "event_types.cart"),
        ('kind = "events"\n[columns]\nuser_id = "u"\n[price]\ntotal = "t"', "needs a column for quantity"),
        ('kind = "events"\n[columns]\nuser_id = "nobody"', "names the columns nobody; the file has a"),
        ('kind = "events"\n[columns]\nuser_id = "a"', "needs the columns event_type, event_time, product_id"),
    ],
)
def test_a_wrong_mapping_is_refused(desk: Desk, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        desk.take(desk.put("x.csv", b"a\n1\n"), "mapped", map=mapping(desk, text))


def test_a_missing_mapping_is_refused(desk: Desk) -> None:
    path = desk.put("x.csv", b"a\n1\n")
    with pytest.raises(SourceError, match="add --map FILE"):
        desk.take(path, "mapped")
    with pytest.raises(SourceError, match="cannot be read"):
        desk.take(path, "mapped", map=desk.folder / "gone.toml")


def test_the_documented_mapping_is_a_valid_one(desk: Desk) -> None:
    text = (mapped.__doc__ or "").split("```toml\n")[1].split("```")[0]
    text = text.replace('unit_price = "UnitPrice"\n', "")  # the price stands in [price] total
    assert load_mapping(mapping(desk, text)).kind == "events"
