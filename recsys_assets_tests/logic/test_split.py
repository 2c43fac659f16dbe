from datetime import date

from recsys_assets.logic.split import Window, windows
from recsys_assets_tests.models.builders import event, events


def test_holdouts_follow_each_other_without_gap_or_overlap() -> None:
    spans = windows(date(2024, 3, 31), 7)
    assert spans["validation"] == Window(date(2024, 3, 17), date(2024, 3, 24))
    assert spans["test"] == Window(date(2024, 3, 24), date(2024, 3, 31))


def test_truth_is_what_was_bought_after_the_cut_off_and_kept() -> None:
    window = Window(date(2024, 3, 24), date(2024, 3, 26))
    made = window.purchases(
        events(
            event("p", "before", date(2024, 3, 24)),
            event("p", "first", date(2024, 3, 25)),
            event("p", "first", date(2024, 3, 26)),
            event("p", "last", date(2024, 3, 26)),
            event("p", "after", date(2024, 3, 27)),
            event("p", "viewed", date(2024, 3, 25), "view"),
            event("p", "returned", date(2024, 3, 25), order="1"),
            event("p", "returned", date(2024, 3, 26), "return", quantity=-1, order="1"),
            event("p", "only returned", date(2024, 3, 26), "return", quantity=-1),
            event(None, "anonymous", date(2024, 3, 26), anon="a"),
        )
    )
    assert made.rows() == [("a", "anonymous"), ("p", "first"), ("p", "last")]
