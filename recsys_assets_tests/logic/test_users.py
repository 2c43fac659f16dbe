"""What people said: the newest row holds, and a wish until it is told otherwise."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from recsys_assets.logic.users import users, wishes, withheld
from recsys_assets.tables import IDENTITIES, LANDING_USERS, USERS
from recsys_assets_tests.models.builders import rows

DAY = date(2024, 5, 10)
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def told(person: str = "a", day: date = DAY, **more: Any) -> dict[str, object]:
    return {"user_key": person, "event_date": day, "landed_at": NOW, "source_file": "f", "source_line": 1} | more


def made(*given: dict[str, object], as_of: date | None = DAY) -> pl.DataFrame:
    return users(rows(LANDING_USERS, list(given)), as_of)


def test_the_newest_row_holds_whole_but_for_the_wishes() -> None:
    first = told(day=ago(5), locale="de-DE", market="DE", consent=False, transactional_only=True, attributes="{}")
    row = made(first, told(day=ago(2), locale="fr-FR")).row(0, named=True)
    assert row == {
        "person_key": "a",
        "locale": "fr-FR",
        "market": None,
        "consent": False,
        "transactional_only": True,
        "attributes": None,
        "updated_date": ago(2),
    }


def test_a_later_yes_lifts_a_no_and_an_earlier_one_does_not() -> None:
    no, yes = told(consent=False, day=ago(3)), told(consent=True, day=ago(2))
    assert withheld(made(no, yes)).is_empty()
    assert withheld(made(no, yes | {"event_date": ago(4)}))["person_key"].to_list() == ["a"]
    assert withheld(made(no, yes | {"problem": "value_malformed"})).height == 1


def test_on_one_day_what_was_said_last_holds() -> None:
    """An undated no of 20:00 lost to a dated yes of 07:00."""
    evening, morning, night = (datetime(2024, 5, 10, hour, tzinfo=UTC) for hour in (20, 7, 21))
    no = told(consent=False, landed_at=evening)
    yes = told(consent=True, updated_at=morning, landed_at=morning)
    assert withheld(made(no, yes)).height == withheld(made(yes, no)).height == 1
    assert withheld(made(no, yes | {"updated_at": night, "landed_at": night})).is_empty()
    # In one file the later line, whichever it is.
    for said, out in (((False, True), 0), ((True, False), 1)):
        lines = (told(consent=consent, source_line=line) for line, consent in enumerate(said))
        assert withheld(made(*lines)).height == out


def test_a_no_of_an_unknown_hour_is_not_lifted_by_a_yes_of_that_day() -> None:
    """An old folder's file says nobody which hour its rows are of."""
    at = datetime(2024, 5, 10, 22, tzinfo=UTC)
    assert withheld(made(told(consent=False), told(consent=True, updated_at=at))).height == 1
    assert withheld(made(told(consent=True), told(consent=False, updated_at=at))).height == 1
    assert withheld(made(told(consent=False), told(consent=True, day=DAY + timedelta(1)), as_of=None)).is_empty()
    assert made(told(transactional_only=True), told(transactional_only=False, updated_at=at))[
        "transactional_only"
    ].to_list() == [True]


def test_as_of_a_day_later_rows_are_unknown() -> None:
    said = (told(day=ago(3), consent=True), told(consent=False))
    assert [withheld(made(*said, as_of=day)).height for day in (ago(4), ago(1), DAY, None)] == [0, 0, 1, 1]
    assert made(*said, as_of=ago(4)).equals(USERS.empty())


def test_on_one_day_updated_at_decides_then_the_landing_then_the_line() -> None:
    at = datetime(2024, 5, 10, 9, tzinfo=UTC)
    ordered = [
        told(market="1", landed_at=NOW + timedelta(9)),
        told(market="2", updated_at=at, landed_at=NOW),
        told(market="3", updated_at=at, landed_at=NOW + timedelta(1)),
        told(market="4", updated_at=at, landed_at=NOW + timedelta(1), source_line=2),
    ]
    for n in range(1, 5):
        given = random.Random(n).sample(ordered[:n], n)
        assert made(*given)["market"].to_list() == [str(n)]


def test_a_no_holds_for_the_persons_anonymous_keys_and_for_nobody_elses() -> None:
    said = made(
        told("no", consent=False), told("yes", consent=True), told("silent"), told("plain", transactional_only=True),
        told("mail", transactional_only=False),
    )  # fmt: skip
    links = rows(
        IDENTITIES,
        [
            {"anon_key": "hers", "user_key": "no"},
            {"anon_key": "his", "user_key": "yes"},
            {"anon_key": "shared", "user_key": None},
        ],
    )
    found = wishes(said, links)
    assert (set(found.refused), set(found.granted)) == ({"no", "hers"}, {"yes", "his", "shared"})
    assert (found.transactional_only, found.marketing_too) == (["plain"], ["mail"])
