"""The id of a published list, which comes back in the shop's impressions and purchases."""

import hmac

from recsys_assets.identity import KeyRing

LIST_CONTEXT = "list"


def recommendation_id(keys: KeyRing, generation: int, key: str, context: str = LIST_CONTEXT) -> str:
    """32 hex digits that name one list of one generation and say nothing about whose it is."""
    text = f"recommendation\x00{generation}\x00{key}\x00{context}"
    return hmac.digest(keys.secret, text.encode(), "sha256")[:16].hex()
