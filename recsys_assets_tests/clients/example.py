# mypy: disable-error-code="import-not-found"
"""What a shop's programs ask, through the client that `openapi-python-client` makes of the API's document.

    recsys openapi > openapi.json
    openapi-python-client generate --path openapi.json --config generator.json --meta none \
        --output-path recommendations_client

Run: ``python example.py URL TOKEN USER PRODUCT``. It prints one JSON object.
"""

import json
import sys

import httpx
from recommendations_client import AuthenticatedClient, Client
from recommendations_client.api.items import similar_items
from recommendations_client.api.people import get_profile
from recommendations_client.api.recommendations import bulk_recommendations, post_recommendations, recommendations
from recommendations_client.models import (
    BulkRequest,
    Problem,
    ProductsAnswer,
    Profile,
    RecommendationsAnswer,
    RecommendationsRequest,
    SimilarItemsAnswer,
)


def main(url: str, token: str, user: str, product: str) -> None:
    """Asks the same as example.ts."""
    patience = httpx.Timeout(10)
    everybody = Client(base_url=url, timeout=patience)
    trusted = AuthenticatedClient(base_url=url, timeout=patience, token=token)

    page = recommendations.sync(client=everybody, user_id=user, product_id=product, limit=2, recent=[product])
    assert isinstance(page, ProductsAnswer), page
    shown = [product.id for product in page.products]

    near = similar_items.sync(product, client=everybody, n=3)
    assert isinstance(near, SimilarItemsAnswer), near

    about = get_profile.sync(user, client=trusted)
    assert isinstance(about, Profile), about

    asked = RecommendationsRequest(user_id=user, num_recommendations=2, exclude=[product])
    listed = post_recommendations.sync(client=trusted, body=asked)
    assert isinstance(listed, RecommendationsAnswer), listed

    # A stream of lines has no type in the document; each line is a PersonalList.
    many = bulk_recommendations.sync_detailed(client=trusted, body=BulkRequest(user_ids=[user, "nobody"]))
    lines = [json.loads(line) for line in many.content.splitlines()]

    refused = recommendations.sync(client=everybody, limit=51)
    assert isinstance(refused, Problem), refused
    unknown = get_profile.sync(user, client=AuthenticatedClient(base_url=url, token="guessed"))
    assert isinstance(unknown, Problem), unknown

    told = {
        "page": shown,
        "recommendation_id": page.recommendation_id,
        "generation": page.generation,
        "near": [item.item_id for item in near.similar_items],
        "orders": about.orders,
        "listed": [item.item_id for item in listed.recommendations],
        "segment": listed.user_info.spending_segment,
        "many": [line["user_id"] for line in lines],
        "refused": [refused.status, refused.parameter],
        "unknown": [unknown.status, unknown.title],
    }
    print(json.dumps(told))  # noqa: T201 - it is a program


if __name__ == "__main__":
    main(*sys.argv[1:])
