"""What people wish, as the users file tells it. Apart from `logic.users`, because the API loads no polars."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wishes:
    """Keys of those who said no and yes to recommendations, and no and yes to marketing mail; others said nothing."""

    refused: Sequence[str] = ()
    granted: Sequence[str] = ()
    transactional_only: Sequence[str] = ()
    marketing_too: Sequence[str] = ()
