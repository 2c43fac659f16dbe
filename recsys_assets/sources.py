"""What can put a product on a list. Plain values: the API, which loads no frame library, asks too."""

# What a shop's blend may be made of; null where the day's choice does without a member.
MEMBERS = ("als", "item_cf", "popularity", "personal", "linear", "transitions", "session", "basket", "content")

# A list is published with the place of each product's source in here: kept generations know the old places, so what
# comes to it comes last.
PINNED = "pinned"
SOURCES = (PINNED, *MEMBERS)

# By what a product is like another one; in Redis by place, as above.
SIMILAR_SOURCES = ("purchases", "views", "content")
