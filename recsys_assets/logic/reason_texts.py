"""The words of reasons. What is left open is, in this order, a count, its noun, and a month, a category or a span.

Apart from `logic.reasons`, which fills them in frames, so that the API's examples have the same words without polars.
"""

BOUGHT_ONCE = "You bought this once, in {}"
BOUGHT_AGAIN = "You bought this {} times, last in {}"
SIMILAR_OWNED = "Similar to {} {} in your purchase history"
CATEGORY_OWNED = "You bought {} {} of {}"
POPULAR = "Bought by {} {} in the last {}"
LOOKED_AT = "Looked at by {} {} in the last {}"
PINNED = "Chosen by the shop"
SIMILAR_BY = {  # of what stands beside a product, by `sources.SIMILAR_SOURCES`
    "purchases": "Bought by the same people",
    "views": "Looked at by the same people",
    "content": "Much alike by its description",
}
TASTE = "Picked from what people with your taste buy"
