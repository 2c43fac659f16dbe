"""RetailRocket: cookies' events, and a catalogue out of time-stamped properties."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.retailrocket import RetailRocketImporter, category_path
from recsys_assets.logic.catalog import catalog
from recsys_assets.logic.events import clean
from recsys_assets.tables import LANDING_RATES
from recsys_assets_tests.importers.shop import Desk, reasons

EVENTS = """timestamp,visitorid,event,itemid,transactionid
1433221332117,257597,view,460429,
1433224214164,992329,addtocart,460429,
1433222276276,599528,transaction,356475,4000
1433222276276,599528,share,356475,
soon,599528,view,356475,
"""
PART1 = """timestamp,itemid,property,value
1435460400000,460429,categoryid,1338
1441508400000,206783,888,1116713 960601 n277.200
1431226800000,59481,790,n15360.000
1431831600000,460429,790,n277200.000
1432436400000,460429,790,n277200.000
"""
PART2 = """timestamp,itemid,property,value
1433041200000,460429,available,0
1435460400000,460429,available,1
1436065200000,460429,available,1
1436670000000,460429,790,n0.990
1436670000000,460429,790,n0.980
bad,460429,available,1
1436065200000,460429
1436065200000,,available,1
1436065200000,59481,790,cheap
"""
TREE = "categoryid,parentid\n1338,1016\n1016,\n9,9\n"
FILES = {"events": EVENTS, "item_properties_part1": PART1, "item_properties_part2": PART2, "category_tree": TREE}


@pytest.fixture
def shop(make_desk: Callable[..., Desk]) -> Desk:
    desk = make_desk(first_day=date(2015, 5, 1))
    for name, text in FILES.items():
        desk.put(f"{name}.csv", text.encode())
    return desk


def _clean(shop: Desk) -> pl.DataFrame:
    return clean(shop.landed(), LANDING_RATES.empty(), "EUR").clean


def test_events(shop: Desk) -> None:
    _, report = shop.take(shop.folder, "retailrocket")
    assert (report.rows, report.clean) == (5, 3)
    assert reasons(report) == {"event_type_unknown": 1, "event_time_unreadable": 1}
    landed = shop.landed()
    assert landed["event_type"].to_list()[:3] == ["view", "add_to_cart", "purchase"]
    bought = landed.row(2, named=True)
    assert bought["event_time"] == datetime(2015, 6, 2, 5, 17, 56, 276_000, tzinfo=UTC)
    assert (bought["anon_key"], bought["user_key"]) == (shop.home.keys.anon_key("599528"), None)
    assert (bought["order_id"], bought["unit_price_micros"], bought["currency"]) == ("4000", None, "EUR")
    assert (bought["source_line"], landed["order_id"].null_count()) == (4, 4)
    assert _clean(shop)["flag"].to_list() == [None, "price_missing", None]


def test_catalogue_has_a_row_where_a_property_changes(shop: Desk) -> None:
    report, _ = shop.take(shop.folder, "retailrocket")
    assert (report.table, report.rows, report.clean) == ("landing_catalog", 9, 5)
    assert reasons(report) == {
        "csv_malformed": 1, "updated_at_unreadable": 1, "product_missing": 1, "price_unreadable": 1,
    }  # fmt: skip
    rows = shop.landed("catalog").filter(pl.col("problem").is_null()).sort("product_id", "event_date")
    facts = ["product_id", "event_date", "category", "in_stock", "unit_price_micros", "source_line"]
    assert rows.select(facts).rows() == [
        ("460429", date(2015, 5, 17), None, None, 277_200_000_000, 5),
        ("460429", date(2015, 5, 31), None, False, 277_200_000_000, 8),  # line 2 of the second file, behind six
        ("460429", date(2015, 6, 28), "1016 > 1338", True, 277_200_000_000, 2),
        ("460429", date(2015, 7, 12), "1016 > 1338", True, 990_000, 11),  # two prices at one time: the greater one
        ("59481", date(2015, 5, 10), None, None, 15_360_000_000, 4),
    ]  # fmt: skip
    assert set(rows["name"]) == {None}


def test_as_of_a_day_the_catalogue_holds_what_was_known(shop: Desk) -> None:
    shop.take(shop.folder, "retailrocket")
    landed, events = shop.landed("catalog"), _clean(shop)
    rates = LANDING_RATES.empty()
    facts = ["product_id", "category", "unit_price_micros", "not_recommendable"]
    assert catalog(landed, events, date(2015, 6, 10), rates, "EUR").select(facts).rows() == [
        ("356475", None, None, "product_unknown"),
        ("460429", None, 277_200_000_000, "out_of_stock"),
        ("59481", None, 15_360_000_000, None),
    ]
    later = catalog(landed, events, date(2015, 7, 31), rates, "EUR")
    assert later["category"].to_list() == [None, "1016 > 1338", None]


def test_pieces(shop: Desk) -> None:
    pieces = RetailRocketImporter().pieces
    made, events = pieces(str(shop.folder))
    names = ["item_properties_part1.csv", "item_properties_part2.csv", "category_tree.csv"]
    assert ([file.name for file in made.files], made.kind) == (names, "catalog")
    assert ([file.name for file in events.files], events.kind) == (["events.csv"], "events")
    assert pieces(str(shop.folder / "events.csv")) == [events]
    assert pieces(str(shop.folder / names[0])) == [made]  # what a record of the delivery names
    assert pieces(str(shop.folder / "item_*.csv")) == [made]


def test_compressed_and_without_a_tree(shop: Desk) -> None:
    plain = shop.take(shop.folder, "retailrocket")
    rows = shop.landed("catalog").drop("source_file")
    for path in list(shop.folder.iterdir()):
        shop.put(path.name + ".gz", gzip.compress(path.read_bytes()))
        path.unlink()
    again = shop.take(shop.folder, "retailrocket")
    assert [report.rows for report in again] == [report.rows for report in plain]
    assert again[1].redelivered == 5
    newest = shop.landed("catalog").filter(pl.col("source_file") == again[0].file_id).drop("source_file")
    assert newest.equals(rows)
    (shop.folder / "category_tree.csv.gz").unlink()
    shop.take(shop.folder, "retailrocket")
    assert "1338" in shop.landed("catalog")["category"].to_list()


def test_read_in_chunks(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    importer = RetailRocketImporter()
    pieces = importer.pieces(str(shop.folder))
    whole = [importer.read(piece, None, None).frame for piece in pieces]
    monkeypatch.setattr("recsys_assets.importers.csv_files._CHUNK", 2)
    assert [importer.read(piece, None, None).frame.rows() for piece in pieces] == [frame.rows() for frame in whole]


def change(folder: Path, name: str, data: bytes) -> None:
    (folder / f"{name}.csv").write_bytes(data)


SWAPPED = "visitorid,timestamp,event,itemid,transactionid"
HEADER, SECOND = EVENTS.split("\n", 1)[0], PART1.split("\n", 1)[0]
REFUSED = {
    "empty": ("events", b"", "empty"),
    "header only": ("events", HEADER.encode(), "no rows"),
    "nameless": ("events", EVENTS.split("\n", 1)[1].replace(",\n", ",x\n").encode(), "looks like data"),
    "semicolons": ("events", EVENTS.replace(",", ";").encode(), "';'"),
    "utf-16": ("events", EVENTS.encode("utf-16"), "UTF-16"),
    "swapped": ("events", EVENTS.replace(HEADER, SWAPPED).encode(), "in no row"),
    "seconds": ("events", EVENTS.replace("143322", "14").encode()[:100], "in no row"),
    "no properties": ("item_properties_part1", b"", "empty"),
    "other properties": ("item_properties_part2", b"a,b\n1,2\n", "this one has a, b"),
    "nameless properties": ("item_properties_part2", PART2.split("\n", 1)[1].encode(), "looks like data"),
    "other tree": ("category_tree", b"id,parent\n1,2\n", "this one has id, parent"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_another_file_is_one_error_that_names_it(shop: Desk, case: str) -> None:
    name, data, words = REFUSED[case]
    change(shop.folder, name, data)
    with pytest.raises(SourceError, match=words) as error:
        shop.take(shop.folder, "retailrocket")
    assert str(shop.folder / f"{name}.csv") in str(error.value)
    assert all(delivery.table == "landing_catalog" for delivery in shop.lake.deliveries())


def test_swapped_properties(shop: Desk) -> None:
    for name, text in (("item_properties_part1", PART1), ("item_properties_part2", PART2)):
        change(shop.folder, name, text.replace(SECOND, "itemid,timestamp,property,value").encode())
    with pytest.raises(SourceError, match="timestamp is in no row"):
        shop.take(shop.folder, "retailrocket")


def test_neither_events_nor_properties(shop: Desk) -> None:
    with pytest.raises(SourceError, match=r"neither events\.csv nor"):
        shop.take(shop.folder / "category_tree.csv", "retailrocket")
    with pytest.raises(SourceError, match="no such file or folder"):
        shop.take(shop.folder / "elsewhere", "retailrocket")
    with pytest.raises(SourceError, match="neither --map nor --kind"):
        shop.take(shop.folder, "retailrocket", kind="events")


def test_a_circle_in_the_tree_ends() -> None:
    assert category_path("1", {"1": "2", "2": "3", "3": "1"}) == "3 > 2 > 1"
    assert category_path("9", {"9": "9"}) == "9"
    assert category_path("unknown", {}) == "unknown"
