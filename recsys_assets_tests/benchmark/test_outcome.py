import pytest

from recsys_assets.benchmark.outcome import Clock, Outcome, known_model
from recsys_assets.errors import RefusedError


def test_the_metric_keys_stand_at_the_top_of_the_object() -> None:
    outcome = Outcome("topn", "blend", {"recall@20": 0.25}, {"als": {"recall@20": 0.1}}, {"als": 1.0}, Clock())
    told = outcome.to_json()
    assert told["recall@20"] == 0.25
    assert {"model", "fit_seconds", "score_seconds", "peak_mb"} <= set(told)
    assert told["peak_mb"] > 1


def test_people_read_every_figure() -> None:
    text = "\n".join(
        Outcome(
            "topn", "blend", {"ndcg@20": 0.1631}, {"als": {"ndcg@20": 0.1}, "popularity": {}}, {"als": 1.0}, Clock()
        ).lines()
    )
    for word in ("als", "0.1000", "test: ndcg@20 0.1631", 'chosen: {"als": 1.0}', "peak"):
        assert word in text


def test_seconds_are_counted_where_they_are_spent() -> None:
    clock = Clock()
    with clock("fit"):
        pass
    assert clock.seconds["fit"] > 0
    assert clock.seconds["score"] == 0


def test_a_model_of_another_protocol_is_refused() -> None:
    assert known_model("als", ("als",)) == "als"
    assert known_model(None, ("als",)) is None
    with pytest.raises(RefusedError, match="no model 'magic'; it has als, blend"):
        known_model("magic", ("als", "blend"))
