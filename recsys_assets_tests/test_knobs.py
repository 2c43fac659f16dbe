"""Each knob has other values by what its type and bounds say."""

from typing import Any

import pytest

from recsys_assets_tests.knobs import knobs, others


@pytest.mark.parametrize(("name", "field"), list(knobs()), ids=[name for name, _ in knobs()])
def test_every_knob_has_other_values_to_try(name: str, field: Any) -> None:
    """A new knob is covered by what its type and bounds say, or needs a line in ``knobs.OTHERS``."""
    words = str(field.annotation).startswith("typing.Literal") or field.annotation is bool
    assert len(others(name, field)) >= (1 if words else 2)
