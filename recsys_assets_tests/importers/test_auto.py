"""Formats told by their columns, and mapping files that are proposed where none fits."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets_tests.importers.shop import Desk, csv_bytes, event, jsonl
from recsys_assets_tests.importers.test_bad_input import SAMPLES, made_of

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
FOUR = "when,customer,sku,paid\n2024-05-01 10:12:00,17,A-100,2.49\n"  # the README's
HAPPENED = "user,product,time,event\n1,a,2024-05-01 10:00:00,view\n2,b,2024-05-02 10:00:00,buy\n"
CATALOGUE = "sku;title;preis\n1;Rye;2,50\n2;Bun;0,40\n"


@pytest.mark.parametrize(
    ("name", "text", "lines", "micros"),
    [
        (
            "europe.csv",
            EUROPE,
            ['format = "%d.%m.%Y %H:%M"', "decimal_comma = true", 'delimiter = ";"', "negative_quantity = true"],
            [1_002_500_000, 3_200_000],
        ),
        ("totals.csv", TOTALS, ['format = "%m/%d/%Y"', 'total = "total"'], [2_500_000, 3_100_000]),
        ("actions.tsv", ACTIONS, ['format = "epoch_seconds"', '"pv" = "view"', '"cart" = "add_to_cart"'], [None] * 3),
        ("four.csv", FOUR, ['unit_price = "paid"', 'event_type = "purchase"'], [2_490_000]),
        ("happened.csv", HAPPENED, ['event_type = "event"', '"buy" = "purchase"'], [None] * 2),
        ("catalogue.csv", CATALOGUE, ['kind = "catalog"', "decimal_comma = true"], [2_500_000, 400_000]),
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


def test_a_date_that_fits_two_ways_is_said_to(desk: Desk) -> None:
    path = desk.put("x.csv", b"user,sku,date\n1,a,05/04/2024\n")
    assert "every row that was looked at also fits %m/%d/%Y" in refusal(desk, path)
