"""Files that are not taken as a whole: lost wishes, too many rejected rows; and one file in several tables."""

from dataclasses import replace
from typing import Any

import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.night import ingest_sources
from recsys_assets.importers.refusals import too_many_rejected
from recsys_assets.importers.reports import FileReport
from recsys_assets.settings import Source
from recsys_assets_tests.importers.shop import NOW, Desk, csv_bytes, event, jsonl, reasons


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("Y", "N"),
        ("y", "n"),
        ("ja", "nein"),
        ("1", "0"),
        ("TRUE", "FALSE"),
        ("on", "off"),
        ("1.0", "0.0"),
        ("oui", "non"),
    ],
)
def test_a_wish_is_read_in_the_words_of_many(desk: Desk, yes: str, no: str) -> None:
    users = [{"user_id": "u-1", "consent": yes, "transactional_only": no}, {"user_id": "u-2", "consent": no}]
    report = desk.one("users.csv", csv_bytes(users))
    assert (report.clean, report.rejected) == (2, {})
    assert desk.landed("users")["consent"].to_list() == [True, False]


USERS: list[dict[str, Any]] = [
    {"user_id": "u-1", "consent": "yes", "transactional_only": "no", "updated_at": "2024-02-01"},
    {"user_id": "u-2", "consent": "no", "transactional_only": "no", "updated_at": "2024-02-01"},
]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"consent": "maybe"}, "consent cannot be read at line 3"),
        ({"consent": "2"}, "consent cannot be read at line 3"),
        ({"transactional_only": "?"}, "transactional_only cannot be read at line 3"),
        ({"updated_at": "soon"}, r"says no .consent. at line 3, and the row is rejected .updated_at_unreadable."),
        (
            {"consent": "yes", "transactional_only": "yes", "updated_at": "soon"},
            r"says no .transactional_only. at line 3",
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_a_wish_that_would_be_lost_refuses_the_file(
    desk: Desk, change: dict[str, str], words: str, check: bool
) -> None:
    with pytest.raises(SourceError, match=words):
        desk.one("users.csv", csv_bytes([USERS[0], USERS[1] | change, USERS[0]]), check=check)
    assert list(desk.lake.deliveries()) == []


def test_a_line_of_a_users_file_that_cannot_be_read_may_hold_a_no(desk: Desk) -> None:
    with pytest.raises(SourceError, match="consent cannot be read at line 4"):
        desk.one("users.csv", csv_bytes(USERS) + b"u-3,no\n")
    without = desk.one("locales.csv", b"user_id,locale\nu-1,de-DE\nu-2\n")
    assert reasons(without) == {"csv_malformed": 1}


def test_a_yes_in_a_rejected_row_is_no_reason(desk: Desk) -> None:
    report = desk.one("users.csv", csv_bytes([USERS[0], USERS[0] | {"updated_at": "soon"}]))
    assert reasons(report) == {"updated_at_unreadable": 1}


def test_a_file_with_too_many_rejected_rows_is_refused_where_a_share_is_named(desk: Desk) -> None:
    rows = [event(user_id="u-1"), event(user_id="u-2", quantity=0), event(user_id="u-3", quantity=0)]
    with pytest.raises(SourceError, match=r"66\.7% of 3 rows are rejected \(quantity_zero 2\), over rejections\.stop"):
        desk.one("day.jsonl", jsonl(rows), most_rejected=0.5)
    assert list(desk.lake.deliveries()) == []
    report = desk.one("half.jsonl", jsonl(rows[:2]), most_rejected=0.5)
    assert (report.clean, report.rejected_share) == (1, 0.5)


def test_one_file_may_feed_several_tables(desk: Desk) -> None:
    path = desk.put("sales.csv", b"when,who,what,title\n2024-05-01,1,2,Rye\n")
    events = desk.put(
        "events.toml",
        b'kind = "events"\n[columns]\nevent_time = "when"\nuser_id = "who"\nproduct_id = "what"\n'
        b'[constants]\nevent_type = "view"\n',
    )
    catalog = desk.put("catalog.toml", b'kind = "catalog"\n[columns]\nproduct_id = "what"\nname = "title"\n')
    for map in (events, catalog, events, catalog):
        desk.take(path, "mapped", map=map)
    assert desk.landed()["product_id"].to_list() == ["2"]
    assert desk.landed("catalog")["name"].to_list() == ["Rye"]
    assert len(list(desk.lake.deliveries())) == 2


def test_another_setting_of_the_home_lands_a_file_anew_without_asking(desk: Desk) -> None:
    path = desk.put("day.jsonl", jsonl([event()]))
    desk.take(path)
    config = desk.home.config.model_copy(update={"time_zone": "Europe/Berlin"})
    (report,) = replace(desk, home=replace(desk.home, config=config)).take(path)
    assert not report.already_delivered
    assert report.warnings == (
        "takes the place of 1 rows of landing_events, of 2024-05-01, that were read as contract on 2024-06-01",
    )


def test_rows_without_a_rate_are_no_fault_of_a_file_but_none_other_is_a_success(desk: Desk) -> None:
    dollars = event(currency="USD", user_id="u-2")
    (some,) = desk.take(desk.put("some.jsonl", jsonl([event(), dollars])))
    assert too_many_rejected(some, 0.05) == ()
    (all_,) = desk.take(desk.put("all.jsonl", jsonl([dollars | {"user_id": "u-3"}])))
    assert too_many_rejected(all_, 0.05) == ("all of its rows are rejected (currency_without_rate)",)


def test_a_night_warns_and_stops(desk: Desk) -> None:
    rows = [event(user_id=f"u-{n}") for n in range(9)]
    path = desk.put("day.jsonl", jsonl([*rows, event(quantity=0)]))
    config = desk.home.config.model_copy(update={"sources": (Source(format="contract", path=str(path)),)})
    home, said = replace(desk.home, config=config), list[str]()

    def night() -> list[FileReport]:
        said.clear()
        return ingest_sources(desk.lake, home, now=NOW, progress=lambda _: None, warn=said.append)

    assert night()[0].clean == 9
    assert said == [f"{path}: 10.0% of its rows are rejected, over the knob rejections.warn = 5%."]
    night()
    assert said == []
    desk.put("day.jsonl", jsonl([*rows[:2], *(event(quantity=0, user_id=f"v-{n}") for n in range(3))]))
    with pytest.raises(SourceError, match=r"60\.0% of 5 rows are rejected"):
        night()
