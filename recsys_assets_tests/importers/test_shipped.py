"""Exports of shops' programs, as these write them: what is sold, to whom, at what price; nothing is lost."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers import IMPORTERS
from recsys_assets.importers.mapping import load_mapping
from recsys_assets.importers.reports import FileReport
from recsys_assets.importers.shipped import MAPS, SHIPPED
from recsys_assets_tests.importers.shop import Desk, csv_bytes, jsonl, reasons
from recsys_assets_tests.importers.workbook import workbook

SALE = ("event_type", "product_id", "quantity", "unit_price_micros", "currency", "order_id")


def sales(desk: Desk) -> list[tuple[Any, ...]]:
    return desk.landed().select(SALE).rows()


def take(desk: Desk, name: str, data: bytes, format: str) -> FileReport:
    """By recognition; the format is what it should be."""
    (report,) = desk.take(desk.put(name, data), "auto")
    assert report.format == format
    return report


def table(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("name", sorted(path.stem for path in MAPS.glob("*.toml")))
def test_every_map_is_a_mapping_file_of_some_format(name: str) -> None:
    assert load_mapping(MAPS / f"{name}.toml").kind in ("events", "catalog")
    assert name in {shape.map for shipped in SHIPPED.values() for shape in shipped.shapes}


# Shopify

LINE = {
    "Name": "#1", "Email": "a@example.org", "Financial Status": "paid", "Currency": "EUR", "Total": "54.00",
    "Created at": "2024-05-01 23:30:00 -0500", "Lineitem quantity": "1", "Lineitem name": "Cup - Blue",
    "Lineitem price": "25.00", "Lineitem compare at price": "", "Lineitem sku": "CUP-B", "Cancelled at": "",
}  # fmt: skip
FURTHER = dict.fromkeys(LINE, "") | {"Name": "#1", "Lineitem quantity": "2", "Lineitem name": "Sticker",
                                     "Lineitem price": "2.00"}  # fmt: skip


def order(number: int, status: str, **more: str) -> dict[str, str]:
    return LINE | {"Name": f"#{number}", "Financial Status": status} | more


SHOPIFY = [
    LINE,
    FURTHER,
    order(2, "refunded", **{"Lineitem quantity": "2"}),
    order(3, "voided"),
    order(4, "paid", **{"Cancelled at": "2024-05-02 10:00:00 -0500"}),
    FURTHER | {"Name": "#4"},
    order(5, "pending", Email=""),
    order(6, "partially_refunded", Email="A@Example.org"),
]


def shopify_sales() -> list[tuple[Any, ...]]:
    cup = ("CUP-B", 1, 25_000_000, "EUR")
    return [
        ("purchase", *cup, "#1"),
        ("purchase", "Sticker", 2, 2_000_000, "EUR", "#1"),
        ("return", "CUP-B", 2, 25_000_000, "EUR", "#2"),
        ("purchase", *cup, "#5"),
        ("purchase", *cup, "#6"),
    ]


def test_shopify_orders(desk: Desk) -> None:
    report = take(desk, "orders.csv", table(SHOPIFY), "shopify")
    assert (report.rows, report.clean, report.dropped, report.rejected) == (8, 5, 3, {})
    assert sales(desk) == shopify_sales()
    landed = desk.landed()
    ann = desk.home.keys.user_key("a@example.org")
    assert landed["user_key"].to_list() == [ann, ann, ann, None, ann]
    assert landed["anon_key"].null_count() == 0
    assert str(landed["event_time"][1]) == "2024-05-02 04:30:00+00:00"
    files = [path for path in desk.home.path.rglob("*") if path.is_file()]
    assert files
    assert all(b"example.org" not in path.read_bytes() for path in files)


@pytest.mark.parametrize("name", ["orders.xlsx", "orders.tsv", "semicolons.csv"])
def test_shopify_orders_in_other_files(desk: Desk, name: str) -> None:
    rows = [tuple(LINE), *(tuple(row.values()) for row in SHOPIFY)]
    delimiter = "\t" if name.endswith("tsv") else ";"
    data = workbook({"Orders": rows}) if name.endswith("xlsx") else table(SHOPIFY, delimiter)
    take(desk, name, data, "shopify")
    assert sales(desk) == shopify_sales()


def test_a_mapping_file_says_how_a_shop_writes_its_exports(desk: Desk) -> None:
    data = table([LINE | {"Lineitem sku": "", "Lineitem name": "Käse", "Financial Status": "laid away"}], "|")
    ours = desk.put("ours.toml", b'[csv]\nencoding = "cp1252"\n[event_types]\n"laid away" = "purchase"\n')
    path = desk.put("orders.csv", data.decode().encode("cp1252"))
    (report,) = desk.take(path, "shopify", map=ours)
    assert (report.clean, report.rejected) == (1, {})
    assert desk.landed()["product_id"].to_list() == ["Käse"]
    desk.put("ours.toml", b"[csv]\nencoding = 7\n")
    with pytest.raises(SourceError, match=r"ours\.toml: the mapping file is refused"):
        desk.take(path, "shopify", map=ours)


def test_further_lines_of_an_order_in_a_mapping_of_ones_own(desk: Desk) -> None:
    text = """
kind = "events"
[columns]
event_type = "State"
event_time = "Day"
user_id = "Who"
order_id = "Order"
product_id = "Product"
currency = "Currency"
[event_types]
paid = "purchase"
"""
    first = {"Order": "1", "State": "paid", "Day": "2024-05-01", "Who": "u-1", "Product": "a", "Currency": "USD"}
    further = dict.fromkeys(first, "") | {"Order": "1", "Product": "b"}
    rows = [first, first | {"Order": "2", "Who": "", "Currency": ""}, further, further | {"Order": "", "Product": "c"}]
    map = desk.put("shop.toml", text.encode())
    (report,) = desk.take(desk.put("orders.csv", table(rows)), "mapped", map=map)
    assert "Currency: 1 further lines of an order take it from the line above" in report.notes
    landed = desk.landed().sort("product_id", "order_id")
    assert landed.select("product_id", "order_id", "event_type", "currency").rows() == [
        ("a", "1", "purchase", "USD"),
        ("a", "2", "purchase", "EUR"),
        ("b", "1", "purchase", "USD"),
        ("c", None, None, "EUR"),
    ]
    who = desk.home.keys.user_key("u-1")
    assert landed["user_key"].to_list() == [who, None, who, None]


def test_shopify_products(desk: Desk) -> None:
    first = {
        "Handle": "cup", "Title": "Cup", "Body (HTML)": "<p>Blue or red</p>", "Vendor": "Mill", "Type": "Kitchen",
        "Tags": "gift, new", "Published": "TRUE", "Option1 Name": "Colour", "Option1 Value": "Blue",
        "Variant SKU": "CUP-B", "Variant Inventory Tracker": "shopify", "Variant Inventory Qty": "0",
        "Variant Inventory Policy": "deny", "Variant Price": "25.00", "Variant Compare At Price": "30.00",
        "Image Src": "https://shop.example/cup.jpg", "Status": "active",
    }  # fmt: skip
    blank = dict.fromkeys(first, "") | {"Handle": "cup"}
    rows = [
        first,
        blank | {"Option1 Value": "Red", "Variant Price": "26.00", "Variant Inventory Qty": "3"},
        blank | {"Image Src": "https://shop.example/cup-2.jpg"},
        first | {"Handle": "sticker", "Title": "Sticker", "Option1 Value": "Default Title", "Variant SKU": "",
                 "Status": "draft"},
    ]  # fmt: skip
    report = take(desk, "products.csv", table(rows), "shopify")
    assert (report.rows, report.clean) == (3, 3)
    assert "4 rows made 3" in report.counted
    columns = ("product_id", "parent_id", "name", "unit_price_micros", "list_price_micros", "in_stock", "category")
    assert desk.landed("catalog").select(columns).rows() == [
        ("CUP-B", "cup", "Cup - Blue", 25_000_000, 30_000_000, False, "Kitchen"),
        ("Cup - Red", "cup", "Cup - Red", 26_000_000, None, True, "Kitchen"),
        ("Sticker", "sticker", "Sticker", 25_000_000, 30_000_000, False, "Kitchen"),
    ]
    assert desk.landed("catalog")["tags"].to_list()[0] == ["gift", "new"]


# WooCommerce


def woo(number: int, customer: int, status: str = "completed") -> dict[str, Any]:
    lines = [
        {"product_id": 7, "variation_id": 71, "sku": "CUP-B", "quantity": 2, "total": "50.00"},
        {"product_id": 8, "variation_id": 0, "sku": "", "quantity": 1, "total": "2.00"},
    ]
    return {
        "id": number, "status": status, "currency": "EUR", "date_created": "2024-05-01T12:00:00",
        "date_created_gmt": "2024-05-01T10:00:00", "customer_id": customer,
        "billing": {"email": "Guest@Example.org"}, "line_items": lines,
    }  # fmt: skip


def test_woocommerce_orders_of_the_api(desk: Desk) -> None:
    records = [woo(1, 5), woo(2, 0), woo(3, 5, "refunded"), woo(4, 5, "failed")]
    report = take(desk, "orders.jsonl", jsonl(records), "woocommerce")
    assert (report.rows, report.clean, report.dropped) == (8, 6, 2)
    assert report.counted == "4 lines = 4 records; 4 records made 8 rows"
    assert sales(desk)[:2] == [
        ("purchase", "CUP-B", 2, 25_000_000, "EUR", "1"),
        ("purchase", "8", 1, 2_000_000, "EUR", "1"),
    ]
    assert [row[0] for row in sales(desk)][4:] == ["return"] * 2
    keys = desk.home.keys
    assert desk.landed()["user_key"].to_list()[1:3] == [keys.user_key("5"), keys.user_key("guest@example.org")]
    assert str(desk.landed()["event_time"][0]) == "2024-05-01 10:00:00+00:00"


def test_woocommerce_orders_with_columns_of_lines(desk: Desk) -> None:
    row = {
        "order_id": "1", "order_date": "2024-05-01 12:00:00", "status": "wc-completed", "order_currency": "EUR",
        "customer_id": "0", "billing_email": "guest@example.org",
        "line_item_1": "name:Cup|product_id:7|sku:CUP-B|quantity:2|total:50.00|sub_total:55.00",
        "line_item_2": "name:Sticker|product_id:8|sku:|quantity:1|total:2.00|sub_total:2.00",
    }  # fmt: skip
    rows = [row, row | {"order_id": "2", "status": "cancelled"}, row | {"order_id": "3", "line_item_2": ""}]
    rows.append(row | {"order_id": "4", "line_item_1": "", "line_item_2": ""})
    zone = desk.put("zone.toml", b'[time]\nzone = "Europe/Berlin"\n')
    (report,) = desk.take(desk.put("orders.csv", table(rows)), "woocommerce", map=zone)
    assert (report.rows, report.clean, report.dropped, reasons(report)) == (6, 3, 2, {"product_missing": 1})
    assert sales(desk)[:2] == [
        ("purchase", "CUP-B", 2, 25_000_000, "EUR", "1"),
        ("purchase", "8", 1, 2_000_000, "EUR", "1"),
    ]
    assert desk.landed()["user_key"].to_list()[0] == desk.home.keys.user_key("guest@example.org")
    assert str(desk.landed()["event_time"][0]) == "2024-05-01 10:00:00+00:00"


def test_woocommerce_orders_with_a_row_per_line(desk: Desk) -> None:
    row = {"Order Number": "1", "Order Status": "On hold", "Order Date": "2024-05-01 12:00", "SKU": "CUP-B",
           "Email (Billing)": "g@example.org", "Quantity": "2", "Item Cost": "25.00", "Currency": "EUR"}  # fmt: skip
    further = dict.fromkeys(row, "") | {"Order Number": "1", "SKU": "S", "Quantity": "1", "Item Cost": "2"}
    take(desk, "orders.csv", table([row, further]), "woocommerce")
    assert sales(desk) == [
        ("purchase", "CUP-B", 2, 25_000_000, "EUR", "1"),
        ("purchase", "S", 1, 2_000_000, "EUR", "1"),
    ]


def test_woocommerce_products(desk: Desk) -> None:
    row = {
        "ID": "7", "Type": "variable", "SKU": "CUP", "Name": "Cup", "Published": "1", "In stock?": "1", "Stock": "",
        "Sale price": "", "Regular price": "", "Categories": "Kitchen > Cups, Gifts", "Tags": "a, b", "Parent": "",
        "Images": "https://shop.example/1.jpg, https://shop.example/2.jpg",
    }  # fmt: skip
    variation = row | {"ID": "71", "Type": "variation", "SKU": "CUP-B", "Sale price": "20", "Regular price": "25",
                       "Parent": "CUP"}  # fmt: skip
    rows = [row, variation, variation | {"ID": "72", "SKU": "", "Sale price": "", "In stock?": "0", "Parent": "id:7"}]
    take(desk, "products.csv", table(rows), "woocommerce")
    columns = ("product_id", "parent_id", "category", "unit_price_micros", "list_price_micros", "in_stock", "image_url")
    image = "https://shop.example/1.jpg"
    assert desk.landed("catalog").select(columns).rows() == [
        ("CUP", None, "Kitchen > Cups", None, None, False, image),
        ("CUP-B", "CUP", "Kitchen > Cups", 20_000_000, 25_000_000, True, image),
        ("72", "7", "Kitchen > Cups", 25_000_000, None, False, image),
    ]


# Google Analytics 4


def ga4(name: str, minute: int, items: list[dict[str, Any]], **params: Any) -> dict[str, Any]:
    moment = datetime(2024, 5, 1, 10, minute, tzinfo=UTC)
    return {
        "event_date": "20240501",
        "event_timestamp": int(moment.timestamp() * 1_000_000),
        "event_name": name,
        "event_params": [
            {"key": key, "value": {"string_value": value if isinstance(value, str) else None,
                                   "int_value": value if isinstance(value, int) else None}}
            for key, value in {"ga_session_id": 7, **params}.items()
        ],
        "user_id": None,
        "user_pseudo_id": "c.1",
        "device": {"category": "mobile"},
        "ecommerce": {"transaction_id": params.get("transaction_id"), "unique_items": len(items)},
        "items": items,
    }  # fmt: skip


def item(name: str, price: float | None = None, quantity: int | None = None) -> dict[str, Any]:
    return {"item_id": name, "price": price, "quantity": quantity}


GA4 = [
    ga4("session_start", 0, []),
    ga4("view_item", 1, [item("p-1", 12.5)], currency="EUR"),
    ga4("purchase", 2, [item("p-1", 12.5, 2), item("(not set)", 3.0, 1)], currency="EUR", transaction_id="o-1"),
    ga4("view_search_results", 3, [], search_term="rye bread"),
]


@pytest.mark.parametrize("layout", ["jsonl", "parquet"])
def test_ga4(desk: Desk, layout: str) -> None:
    path = desk.put(f"events.{layout}", b"")
    if layout == "parquet":
        pl.DataFrame(GA4).write_parquet(path)
    else:  # BigQuery writes whole numbers as text
        path.write_bytes(jsonl([event | {"event_timestamp": str(event["event_timestamp"])} for event in GA4]))
    (report,) = desk.take(path, "auto")
    assert report.format == "ga4"
    assert (report.rows, report.clean, report.dropped, reasons(report)) == (5, 3, 1, {"product_missing": 1})
    assert report.counted.endswith("4 records made 5 rows")
    assert sales(desk) == [
        ("view", "p-1", None, 12_500_000, "EUR", None),
        ("purchase", "p-1", 2, 12_500_000, "EUR", "o-1"),
        ("purchase", None, 1, 3_000_000, "EUR", "o-1"),
        ("search", None, None, None, "EUR", None),
    ]
    landed = desk.landed()
    assert set(landed["anon_key"]) == {desk.home.keys.anon_key("c.1")}
    assert str(landed["event_time"][0]) == "2024-05-01 10:01:00+00:00"
    assert landed["device"].to_list() == ["mobile"] * 4


# Segment and RudderStack


def track(event: str, number: int, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track", "event": event, "messageId": f"m-{number}", "userId": None, "anonymousId": "a-1",
        "timestamp": f"2024-05-01T10:0{number}:00.000Z", "properties": properties,
    }  # fmt: skip


def test_segment(desk: Desk) -> None:
    lines = [{"product_id": "p-1", "price": 12.5, "quantity": 2}, {"sku": "S-2", "price": 3, "quantity": 1}]
    bought = track("Order Completed", 2, order_id="o-1", currency="EUR", products=lines) | {"userId": "u-1"}
    records = [
        {"type": "page", "messageId": "m-0", "anonymousId": "a-1", "timestamp": "2024-05-01T10:00:00Z"},
        track("Product Viewed", 1, product_id="p-1", price=12.5, currency="EUR"),
        bought,
        bought,  # sent twice
        track("Order Refunded", 3, order_id="o-1", products=lines[:1]),
    ]
    report = take(desk, "tracks.jsonl", jsonl(records), "segment")
    assert (report.rows, report.clean, report.duplicates, report.dropped) == (7, 4, 2, 1)
    clean = desk.landed().unique("event_id", keep="first", maintain_order=True)
    assert clean.select(SALE).rows() == [
        ("view", "p-1", None, 12_500_000, "EUR", None),
        ("purchase", "p-1", 2, 12_500_000, "EUR", "o-1"),
        ("purchase", "S-2", 1, 3_000_000, "EUR", "o-1"),
        ("return", "p-1", 2, 12_500_000, "EUR", "o-1"),
    ]


# Google Merchant Center

FEED: list[dict[str, str]] = [
    {"id": "S-1", "title": "Rye & wheat", "description": "Baked", "link": "https://shop.example/1",
     "image_link": "https://shop.example/1.jpg", "availability": "in stock", "price": "15.00 EUR",
     "sale_price": "12.00 EUR", "brand": "Mill", "product_type": "Grocery > Bread", "item_group_id": "G-1"},
    {"id": "S-2", "title": "Milk", "description": "", "link": "https://shop.example/2", "image_link": "",
     "availability": "out_of_stock", "price": "EUR 1.50", "sale_price": "", "brand": "", "product_type": "",
     "item_group_id": ""},
    {"id": "S-3", "title": "Tea", "description": "", "link": "https://shop.example/3", "image_link": "",
     "availability": "Preorder", "price": "3 EUR", "sale_price": "", "brand": "", "product_type": "",
     "item_group_id": ""},
]  # fmt: skip


def rss(rows: list[dict[str, str]]) -> bytes:
    def element(name: str, text: str) -> str:
        name = name if name in ("title", "link", "description") else f"g:{name}"
        return f"<{name}>{text.replace('&', '&amp;').replace('>', '&gt;')}</{name}>" if text else ""

    items = "".join(f"<item>{''.join(element(*pair) for pair in row.items())}</item>" for row in rows)
    space = 'xmlns:g="http://base.google.com/ns/1.0"'
    head = f'<?xml version="1.0" encoding="UTF-8"?><rss {space} version="2.0"><channel><title>Shop</title>'
    return f"{head}{items}</channel></rss>".encode()


@pytest.mark.parametrize("name", ["feed.tsv", "feed.txt", "feed.xml"])
def test_merchant_feed(desk: Desk, name: str) -> None:
    data = rss(FEED) if name.endswith("xml") else table(FEED, "\t")
    report = take(desk, name, data, "merchant_feed")
    assert (report.clean, report.rejected) == (3, {})
    columns = ("product_id", "parent_id", "name", "unit_price_micros", "list_price_micros", "currency", "in_stock")
    assert desk.landed("catalog").select(columns).rows() == [
        ("S-1", "G-1", "Rye & wheat", 12_000_000, 15_000_000, "EUR", True),
        ("S-2", None, "Milk", 1_500_000, None, "EUR", False),
        ("S-3", None, "Tea", 3_000_000, None, "EUR", True),
    ]


def test_a_folder_of_exports(desk: Desk) -> None:
    desk.put("a/orders.csv", table(SHOPIFY))
    desk.put("a/events.jsonl", jsonl(GA4))
    desk.put("b/feed.xml", rss(FEED))
    desk.put("b/sitemap.xml", b"<urlset><url/></urlset>")
    said = list[str]()
    reports = desk.take(desk.folder, "auto", progress=said.append)
    assert {report.format: report.table for report in reports} == {
        "shopify": "landing_events",
        "ga4": "landing_events",
        "merchant_feed": "landing_catalog",
    }
    assert any("sitemap.xml: not read; it is no product feed" in line for line in said)


def test_a_feed_that_cannot_be_read_is_refused_or_rejected(desk: Desk) -> None:
    report = take(desk, "a.tsv", table([FEED[0] | {"price": "dear", "availability": "perhaps"}], "\t"), "merchant_feed")
    assert sum(reasons(report).values()) == 1
    bomb = rss(FEED).replace(b"?>", b'?><!DOCTYPE rss [<!ENTITY a "aaaa">]>', 1)
    for data, words in ((rss(FEED)[:-9], "no XML"), (b"<rss></rss>", "no item"), (bomb, "defines the entity a")):
        with pytest.raises(SourceError, match=words):
            desk.take(desk.put("b.xml", data), "merchant_feed")


# Magento


def test_magento_configurable_products(desk: Desk) -> None:
    def line(number: int, sku: str, parent: int | None, kind: str, price: float) -> dict[str, Any]:
        return {"item_id": number, "parent_item_id": parent, "sku": sku, "product_type": kind, "qty_ordered": 2,
                "price": price}  # fmt: skip

    lines = [
        line(1, "CUP", None, "configurable", 25),
        line(2, "CUP-B", 1, "simple", 0),
        line(3, "S", None, "simple", 2),
    ]
    whole = {"increment_id": "100", "created_at": "2024-05-01 10:00:00", "status": "complete", "items": lines,
             "customer_id": None, "customer_email": "G@example.org", "order_currency_code": "EUR"}  # fmt: skip
    records = [whole, whole | {"increment_id": "101", "status": "canceled"}]
    report = take(desk, "orders.jsonl", jsonl(records), "magento")
    right = [("purchase", "CUP-B", 2, 25_000_000, "EUR", "100"), ("purchase", "S", 2, 2_000_000, "EUR", "100")]
    assert (report.rows, report.clean, report.dropped) == (6, 2, 4)
    assert sales(desk) == right
    assert set(desk.landed()["user_key"]) == {desk.home.keys.user_key("g@example.org")}


def test_magento_items_as_a_table(desk: Desk) -> None:
    row = {"item_id": "1", "parent_item_id": "", "order_id": "9", "created_at": "2024-05-01 10:00:00", "sku": "CUP-B",
           "product_type": "configurable", "qty_ordered": "2.0000", "price": "25.0000", "status": "closed",
           "customer_id": "4", "order_currency_code": "EUR"}  # fmt: skip
    child = row | {"item_id": "2", "parent_item_id": "1", "product_type": "simple", "price": "0.0000"}
    report = take(desk, "items.csv", table([row, child]), "magento")
    assert (report.clean, report.dropped) == (1, 1)
    assert sales(desk) == [("return", "CUP-B", 2, 25_000_000, "EUR", "9")]


@pytest.mark.parametrize("name", SHIPPED)
def test_another_file_is_refused_by_name(desk: Desk, name: str) -> None:
    layout = SHIPPED[name].layouts[0]
    path = desk.put(f"x.{layout}", csv_bytes([{"a": 1}]) if layout == "csv" else jsonl([{"a": 1}]))
    with pytest.raises(SourceError, match=r"has the columns .*; this one has a\."):
        desk.take(path, name)
    with pytest.raises(SourceError, match="takes no --kind"):
        desk.take(path, name, kind="events")
    assert IMPORTERS[name].what
    assert list(desk.lake.deliveries()) == []
