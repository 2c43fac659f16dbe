"""Complete Journey: prices per unit, fuel, catalogue per day."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.complete_journey import CompleteJourneyImporter, package_folder, readable
from recsys_assets.logic.events import clean
from recsys_assets.tables import LANDING_RATES
from recsys_assets_tests.importers.shop import Desk, reasons


def line(product: int, day: int, quantity: int, sales: float, **more: Any) -> dict[str, Any]:
    made = {"household_id": 900, "store_id": 330, "basket_id": 31198570044, "product_id": product, "quantity": quantity,
            "sales_value": sales, "retail_disc": 0.0, "coupon_disc": 0.0, "coupon_match_disc": 0.0, "week": 1,
            "transaction_timestamp": datetime(2017, 1, day, 12, tzinfo=UTC).replace(tzinfo=None)}  # fmt: skip
    return made | more


SALES = [
    line(1, 1, 2, 3.00, retail_disc=0.98, coupon_disc=0.5, coupon_match_disc=0.02),
    line(1, 1, 1, 1.51),
    line(1, 2, 3, 4.53),
    line(1, 3, 1, 1.75),
    line(1, 3, 3, 1.0, coupon_disc=2.0),
    line(2, 1, 12510, 30.77, retail_disc=0.5),
    line(3, 1, 0, 0.0),
    line(4, 1, 1, 0.0),
    line(9, 1, 1, 5.0),
]
PRODUCTS = [
    (1, "GROCERY", "National", "FRZN ICE", "ICE - CRUSHED/CUBED", "22      LB"),
    (2, "FUEL", "Private", "COUPON/MISC ITEMS", "GASOLINE-REG UNLEADED", None),
    (3, "PASTRY", "Private", "BREAD", "BREAD:ITALIAN/FRENCH", None),
    (4, "MISCELLANEOUS", "National", None, None, None),
    (5, "DRUG GM", "National", "MEN'S CARE", "RAZORS (50% AND U", "1 CT"),
]


@pytest.fixture
def journey(make_desk: Callable[..., Desk]) -> Desk:
    desk = make_desk(first_day=date(2017, 1, 1), time_zone="America/New_York", currency="USD")
    pl.DataFrame(SALES).write_parquet(desk.folder / "transactions.parquet")
    names = ["product_id", "department", "brand", "product_category", "product_type", "package_size"]
    pl.DataFrame(PRODUCTS, schema=names, orient="row").write_parquet(desk.folder / "products.parquet")
    return desk


def test_events(journey: Desk) -> None:
    _, report = journey.take(journey.folder, "complete_journey")
    assert (report.rows, report.clean, reasons(report)) == (9, 8, {"quantity_zero": 1})
    landed = journey.landed().sort("source_line")
    assert landed.select("quantity", "unit_price_micros", "list_price_micros").rows() == [
        (2, 1_250_000, 2_000_000),  # (3.00 − 0.50) / 2, (3.00 + 0.98 + 0.02) / 2
        (1, 1_510_000, 1_510_000),
        (3, 1_510_000, 1_510_000),
        (1, 1_750_000, 1_750_000),
        (3, 0, 333_333),  # a coupon above the price
        (1, 30_770_000, 31_270_000),  # fuel: one unit at the amount
        (0, None, None),
        (1, 0, 0),
        (1, 5_000_000, 5_000_000),
    ]
    row = landed.row(0, named=True)
    keys = journey.home.keys
    assert (row["event_type"], row["currency"], row["order_id"]) == ("purchase", "USD", "31198570044")
    assert (row["user_key"], row["session_id"]) == (keys.user_key("900"), keys.session_key("31198570044"))
    assert clean(landed, LANDING_RATES.empty(), "USD").clean.filter(pl.col("flag") == "price_zero").height == 2


def test_catalogue_has_a_row_where_a_price_changes(journey: Desk) -> None:
    report, _ = journey.take(journey.folder, "complete_journey")
    assert (report.table, report.clean, reasons(report)) == ("landing_catalog", 7, {})
    rows = journey.landed("catalog").sort("product_id", "event_date")
    assert rows.select(
        "product_id", pl.col("event_date").dt.day(), "unit_price_micros", "list_price_micros"
    ).rows() == [
        ("1", 1, 1_510_000, 1_755_000),  # medians of 1.51, 1.51 and of 2.00, 1.51
        ("1", 2, 1_510_000, 1_510_000),
        ("1", 3, 1_041_666, 1_041_666),  # median of 1.75 and 0.333333 is 1.0416665: half to even
        ("2", 1, None, None),
        ("3", 1, None, None),
        ("4", 1, None, None),
        ("5", 1, None, None),
    ]
    names = rows.unique("product_id").sort("product_id").select("name", "category", "brand").rows()
    assert names == [
        ("Ice - Crushed/Cubed, 22 lb", "Grocery > Frzn Ice > Ice - Crushed/Cubed", "National"),
        ("Gasoline-Reg Unleaded", "Fuel > Coupon/Misc Items > Gasoline-Reg Unleaded", "Private"),
        ("Bread: Italian/French", "Pastry > Bread > Bread: Italian/French", "Private"),
        ("Miscellaneous", "Miscellaneous", "National"),
        ("Razors, 1 ct", "Drug Gm > Men's Care > Razors", "National"),
    ]


def test_order_of_the_rows_changes_no_clean_event(journey: Desk) -> None:
    first = clean(_events_of(journey), LANDING_RATES.empty(), "USD").clean
    pl.DataFrame(SALES[::-1]).write_parquet(journey.folder / "transactions.parquet")
    journey.take(journey.folder, "complete_journey")
    newest = max(journey.lake.deliveries(), key=lambda d: (d.table == "landing_events", d.modified_ns))
    again = clean(journey.landed().filter(pl.col("source_file") == newest.file_id), LANDING_RATES.empty(), "USD").clean
    assert again.equals(first)


def _events_of(desk: Desk) -> pl.DataFrame:
    desk.take(desk.folder, "complete_journey")
    return desk.landed()


def test_missing_file_and_missing_column(journey: Desk, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"transactions\.parquet: there is no such file"):
        journey.take(tmp_path, "complete_journey")
    pl.DataFrame(SALES).drop("sales_value").write_parquet(journey.folder / "transactions.parquet")
    with pytest.raises(SourceError, match="sales_value are missing"):
        journey.take(journey.folder, "complete_journey")


def test_package_is_the_installed_one() -> None:
    catalog, events = CompleteJourneyImporter().pieces("package")
    assert {file.parent for piece in (catalog, events) for file in piece.files} == {package_folder()}


@pytest.mark.parametrize(
    ("text", "made"),
    [("CHIPS&SNACKS", "Chips&Snacks"), ("COLD AND FLU", "Cold and Flu"), ("(", ""), ("BAG  SNACKS", "Bag Snacks")],
)
def test_readable(text: str, made: str) -> None:
    assert readable(text) == made
