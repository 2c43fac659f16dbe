"""A shop's tables in files of their own: orders, their lines and customers, as one mapping reads them."""

import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.reports import FileReport
from recsys_assets_tests.importers.shop import Desk, csv_bytes, reasons

SPLIT = """
kind = "events"
[columns]
event_time = "order_purchase_timestamp"
user_id = "customer_unique_id"
order_id = "order_id"
product_id = "product_id"
unit_price = "price"
[constants]
event_type = "purchase"
[where]
drop = { order_status = ["canceled", "unavailable"] }
[time]
zone = "America/Sao_Paulo"
[join.orders]
file = "orders.csv"
on = "order_id"
[join.customers]
file = "customers.csv"
on = "customer_id"
"""
ORDERS = [
    {"order_id": "o-1", "customer_id": "c-1", "order_status": "delivered",
     "order_purchase_timestamp": "2024-05-01 10:56:33"},
    {"order_id": "o-2", "customer_id": "c-2", "order_status": "canceled",
     "order_purchase_timestamp": "2024-05-01 11:00:00"},
    {"order_id": "o-3", "customer_id": "c-3", "order_status": "shipped",
     "order_purchase_timestamp": "2024-05-02 11:00:00"},
]  # fmt: skip
CUSTOMERS = [{"customer_id": f"c-{n}", "customer_unique_id": f"u-{(n + 1) // 2}"} for n in (1, 2, 3)]
LINES = [
    {"order_id": order, "order_item_id": str(n), "product_id": f"p-{n}", "price": "58.90"}
    for order, n in (("o-1", 1), ("o-1", 2), ("o-2", 1), ("o-3", 3), ("o-9", 4))
]


def take(desk: Desk) -> FileReport:
    (report,) = desk.take(desk.folder / "lines.csv", "mapped", map=desk.put("shop.toml", SPLIT.encode()))
    return report


@pytest.fixture
def split(desk: Desk) -> Desk:
    for name, rows in (("orders", ORDERS), ("customers", CUSTOMERS), ("lines", LINES)):
        desk.put(f"{name}.csv", csv_bytes(rows))
    return desk


def test_lines_get_the_columns_of_their_order_and_its_customer(split: Desk) -> None:
    report = take(split)
    assert (report.rows, report.clean, report.dropped) == (5, 3, 1)
    assert reasons(report) == {"event_time_missing": 1}
    assert "order_id: 1 of 5 rows have no row in orders.csv" in report.warnings
    landed = split.landed().filter(order_id="o-1")
    assert landed["product_id"].to_list() == ["p-1", "p-2"]
    assert set(landed["user_key"]) == {split.home.keys.user_key("u-1")}
    assert str(landed["event_time"][0]) == "2024-05-01 13:56:33+00:00"


def test_another_file_of_orders_makes_other_rows(split: Desk) -> None:
    take(split)
    assert take(split).already_delivered
    split.put("orders.csv", csv_bytes([row | {"order_status": "delivered"} for row in ORDERS]))
    report = take(split)
    assert (report.already_delivered, report.dropped) == (False, 0)
    assert len(list(split.lake.deliveries())) == 1


def test_a_file_that_would_double_rows_or_is_not_there_is_refused(split: Desk) -> None:
    split.put("orders.csv", csv_bytes([*ORDERS, ORDERS[0]]))
    with pytest.raises(SourceError, match=r"orders\.csv:5: order_id has 1 values more than once"):
        take(split)
    split.put("orders.csv", csv_bytes([{"number": "o-1"}]))
    with pytest.raises(SourceError, match="names the column order_id; it has number"):
        take(split)
    (split.folder / "orders.csv").unlink()
    with pytest.raises(SourceError, match=r"orders\.csv: there is no such file"):
        take(split)
    assert list(split.lake.deliveries()) == []
