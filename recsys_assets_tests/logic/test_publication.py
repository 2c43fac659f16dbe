"""Which runs publish."""

from datetime import date

import pytest

from recsys_assets.logic.publication import Wish, publication

MON, TUE, WED = date(2026, 5, 4), date(2026, 5, 5), date(2026, 5, 6)


@pytest.mark.parametrize(
    ("day", "live", "wish", "backfill", "publishes"),
    [
        (WED, None, None, False, True),  # the first night
        (WED, TUE, None, False, True),  # a night
        (WED, WED, None, False, True),  # the same night again
        (TUE, MON, None, False, True),  # a night that is made up for
        (MON, TUE, None, False, False),
        (MON, None, None, True, False),  # nothing is live, and a backfill still brings its newest day alone
        (TUE, MON, None, True, False),
        (WED, MON, None, True, True),
        (MON, WED, "yes", False, True),
        (MON, WED, "yes", True, True),
        (WED, MON, "no", False, False),
    ],
)
def test_the_newest_day_is_published_and_an_older_one_by_a_wish(
    day: date, live: date | None, wish: Wish | None, backfill: bool, publishes: bool
) -> None:
    found = publication(day, WED, None if live is None else (1, live), wish, backfill=backfill)
    assert found.publishes == publishes
    assert bool(found.why) != publishes
