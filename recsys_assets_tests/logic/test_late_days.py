from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.late_days import late_days, ranges, stale_days
from recsys_assets.stores.lake import days_between

FIRST = date(2024, 2, 20)
DAYS = st.integers(0, 30).map(lambda n: FIRST + timedelta(n))
FILES = st.dictionaries(DAYS, st.frozensets(st.sampled_from("abc")))
MANY = st.sets(DAYS).map(sorted)


@given(FILES, FILES)
def test_a_day_is_stale_where_its_files_differ_and_nowhere_else(
    landed: dict[date, frozenset[str]], audited: dict[date, frozenset[str]]
) -> None:
    found = stale_days(landed, audited)
    assert found == sorted(set(found))
    for day in days_between(FIRST, FIRST + timedelta(30)):
        assert (day in found) == (landed.get(day, frozenset()) != audited.get(day, frozenset()))


@given(FILES)
def test_a_day_without_rows_needs_no_audit_and_redone_days_are_stale_no_more(
    landed: dict[date, frozenset[str]],
) -> None:
    cleaned = {day: files for day, files in landed.items() if files}
    assert stale_days(landed, cleaned) == []


@given(MANY, DAYS, st.integers(0, 10))
def test_of_the_days_before_a_run_each_is_redone_or_named(stale: list[date], as_of: date, back: int) -> None:
    late = late_days(stale, as_of, back)
    assert [*late.older, *late.redo] == [day for day in stale if day < as_of]
    assert all((as_of - day).days <= back for day in late.redo)
    assert all((as_of - day).days > back for day in late.older)


@given(MANY)
def test_ranges_hold_the_days_and_no_others_and_none_touches_the_next(days: list[date]) -> None:
    found = ranges(days)
    assert [day for first, last in found for day in days_between(first, last)] == days
    assert all(after - before > timedelta(1) for (_, before), (after, _) in pairwise(found))
