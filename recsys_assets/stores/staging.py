"""Frames of a day → the bytes of a COPY, and the values of Redis. All of it in polars expressions."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import polars as pl

from recsys_assets.columns import MEMBERS
from recsys_assets.identity import KeyRing
from recsys_assets.logic.hashing import in_order
from recsys_assets.logic.recommendation_ids import recommendation_id
from recsys_assets.sources import SIMILAR_SOURCES, SOURCES
from recsys_assets.stores.cache import list_key, near_key, plan_key, popular_key, product_key
from recsys_assets.tables import (
    CATALOG,
    COPY,
    LISTS,
    NEXT_ITEMS,
    OWNED,
    PLANS,
    POPULAR_ITEMS,
    SIMILAR_ITEMS,
    USER_PROFILES,
)

# Pieces are small enough that building the next overlaps with the server's reading of this one, and large enough
# that polars works in parallel.
ROWS_PER_PIECE = 100_000
SERVED_PER_PIECE = 25_000
PLANS_PER_PIECE = 10_000  # a plan is some kB of JSON
Escapes = tuple[tuple[str, str], ...]
_ESCAPES: Escapes = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
# Within an array every element is quoted, so backslash and quote are escaped once more, before COPY's own escapes.
_ARRAY_ESCAPES: Escapes = (("\\", "\\\\"), ('"', '\\"'), *_ESCAPES)
_TIERS = {"product_id": pl.String(), "price_tier": pl.String()}
_SPECIAL = ["\\", '"', "\t", "\n", "\r"]


@dataclass(frozen=True)
class Frames:
    """What a generation is made of, of one day.

    LISTS, SIMILAR_ITEMS, NEXT_ITEMS, POPULAR_ITEMS, CATALOG, USER_PROFILES, PLANS, COPY and OWNED; ``tiers`` has the
    ``price_tier`` of each ``product_id``; ``planning`` is what a reader needs to plan for a visit, None: nothing plans.
    """

    lists: pl.DataFrame
    similar: pl.DataFrame
    following: pl.DataFrame
    popular: pl.DataFrame
    products: pl.DataFrame
    profiles: pl.DataFrame
    _: KW_ONLY
    plans: pl.DataFrame = field(default_factory=PLANS.empty)
    copy: pl.DataFrame = field(default_factory=COPY.empty)
    owned: pl.DataFrame = field(default_factory=OWNED.empty)
    tiers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TIERS))
    planning: dict[str, Any] | None = None

    def conform(self) -> "Frames":
        """With exactly the columns of the tables.

        Raises:
            TableError: a frame is not its table.
        """
        return replace(
            self,
            lists=LISTS.conform(self.lists),
            similar=SIMILAR_ITEMS.conform(self.similar),
            following=NEXT_ITEMS.conform(self.following),
            popular=POPULAR_ITEMS.conform(self.popular),
            products=CATALOG.conform(self.products),
            profiles=USER_PROFILES.conform(self.profiles),
            plans=PLANS.conform(self.plans),
            copy=COPY.conform(self.copy),
            owned=OWNED.conform(self.owned),
            tiers=self.tiers.select("product_id", "price_tier"),
        )

    def people(self) -> pl.Series:
        """Keys of everybody who has a list, a profile or a plan, or owns anything; ordered."""
        keys = [frame.select("person_key") for frame in (self.lists, self.profiles, self.plans, self.owned)]
        return pl.concat(keys).unique().to_series().sort()


@dataclass(frozen=True)
class Marked:
    """Frames without the suppressed, lists by person and rank.

    ``people`` has one row per person: ``person_key``, ``_mark`` and the list's ``_recommendation_id``.
    """

    lists: pl.DataFrame
    similar: pl.DataFrame
    following: pl.DataFrame
    popular: pl.DataFrame
    products: pl.DataFrame
    profiles: pl.DataFrame
    plans: pl.DataFrame
    copy: pl.DataFrame
    owned: pl.DataFrame
    people: pl.DataFrame

    def without_list(self) -> pl.DataFrame:
        """Rows of OWNED of people who have no list, as they own whatever might stand on it: they get an empty one."""
        return self.owned.join(self.lists, on="person_key", how="anti", maintain_order="left")


def marked(frames: Frames, keys: KeyRing, generation: int, suppressed: Collection[str] = ()) -> Marked:
    """Frames with the marks of their people, without those whose mark is ``suppressed``."""
    marks = {key: keys.mark(key) for key in frames.people()}
    here = [key for key, mark in marks.items() if mark not in suppressed]
    people = pl.DataFrame(
        {
            "person_key": here,
            "_mark": [marks[key] for key in here],
            "_recommendation_id": [recommendation_id(keys, generation, key) for key in here],
        },
        schema={"person_key": pl.String, "_mark": pl.String, "_recommendation_id": pl.String},
    )
    theirs = [frames.lists, frames.profiles, frames.plans, frames.owned]
    if len(here) < len(marks):
        theirs = [frame.join(people, on="person_key", how="semi", maintain_order="left") for frame in theirs]
    lists, profiles, plans, owned = theirs
    places = pl.col("model_source").replace_strict(SOURCES, range(len(SOURCES)), return_dtype=pl.Int16)
    products = frames.products.join(frames.tiers, on="product_id", how="left", maintain_order="left")
    return Marked(
        in_order(lists).with_columns(places.alias(SOURCE)), frames.similar, frames.following, frames.popular,
        products, profiles, plans, frames.copy, owned, people,
    )  # fmt: skip


def _texts(frame: pl.DataFrame, columns: Sequence[str], escapes: Escapes) -> Iterator[pl.Expr]:
    """Each column as text, escaped. One look for any special character is cheaper than replacing each in vain."""
    strings = [column for column in columns if frame.schema[column] == pl.String]
    odd = frame.select(pl.col(strings).str.contains_any(_SPECIAL).any()).to_dicts() if strings else []
    for column in columns:
        text = pl.col(column) if column in strings else pl.col(column).cast(pl.String)
        if column in strings and odd[0][column]:
            for raw, safe in escapes:
                text = text.str.replace_all(raw, safe, literal=True)
        yield text


def _bytes(lines: pl.Series) -> bytes:
    return "\n".join([*lines.to_list(), ""]).encode()


def copy_rows(frame: pl.DataFrame, generation: int, columns: Sequence[str]) -> Iterator[bytes]:
    """COPY text of a frame with scalar columns: the generation, then ``columns``."""
    for piece in frame.iter_slices(ROWS_PER_PIECE):
        fields = [text.fill_null("\\N") for text in _texts(piece, columns, _ESCAPES)]
        line = pl.concat_str([pl.lit(str(generation)), *fields], separator="\t")
        yield _bytes(piece.select(line).to_series())


SOURCE = "_source"  # place of the model_source in `SOURCES`: two bytes instead of a word, 200 times per person
ARRAYS = (
    "product_id", "score", "als", "item_cf", "popularity", "personal", "confidence", "price_micros", "category",
    "reason_code", "reason_count", "reason", "purchased", "position", "linear", "transitions", "session", "basket",
    "content", SOURCE,
)  # fmt: skip


def copy_lists(frames: Marked, generation: int) -> Iterator[bytes]:
    """COPY text of the table lists, one line per person; arrays of members that nobody was asked about are empty."""
    columns = ("person_key", "_mark", "_recommendation_id", *ARRAYS, "_owned", "_withheld", "_tiers")
    line = pl.concat_str([pl.lit(str(generation)), *(pl.col(column) for column in columns)], separator="\t")
    people = frames.people.join(_owned_texts(frames.owned), on="person_key", how="left", maintain_order="left")
    people = people.with_columns(
        pl.col("_owned").fill_null("{}"), pl.col("_withheld").fill_null("0"), pl.col("_tiers").fill_null("\\N")
    )
    for piece in _by_person(frames.lists, ROWS_PER_PIECE):
        texts = zip(ARRAYS, _texts(piece, ARRAYS, _ARRAY_ESCAPES), strict=True)
        unused = {name for name in MEMBERS if piece[name].null_count() == piece.height}
        elements = [
            (pl.format('"{}"', text) if piece.schema[column] == pl.String else text).fill_null("NULL").alias(column)
            for column, text in texts
            if column not in unused
        ]
        # One lazy query: between calls of its own this thread would wait for the one that sends.
        lines = (
            piece.lazy()
            .select("person_key", *elements)
            .group_by("person_key", maintain_order=True)
            .agg(("{" + pl.col(column).str.join(",") + "}").alias(column) for column in ARRAYS if column not in unused)
            .with_columns(pl.lit("{}").alias(name) for name in sorted(unused))
            .join(people.lazy(), on="person_key", how="left", maintain_order="left")
            .select(line)
            .collect()
        )
        yield _bytes(lines.to_series())
    rest = frames.without_list().select("person_key", *(pl.lit("{}").alias(name) for name in ARRAYS))
    if rest.height:
        yield _bytes(rest.join(people, on="person_key", how="left", maintain_order="left").select(line).to_series())


def _owned_texts(owned: pl.DataFrame) -> pl.DataFrame:
    """COPY text of each person's ``_owned``, ``_withheld`` and ``_tiers``."""
    each = owned.select("person_key", "owned").explode("owned", empty_as_null=False, keep_nulls=False)
    (text,) = _texts(each, ["owned"], _ARRAY_ESCAPES)
    arrays = each.select("person_key", _owned=pl.format('"{}"', text)).group_by("person_key").agg(
        ("{" + pl.col("_owned").str.join(",") + "}").alias("_owned")
    )  # fmt: skip
    return owned.select(
        "person_key",
        pl.col("withheld").cast(pl.String).alias("_withheld"),
        ("{" + pl.col("tiers").list.join(",") + "}").alias("_tiers"),
    ).join(arrays, on="person_key", how="left")


def _by_person(lists: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Pieces that never cut a person's list; they bound the memory of the text."""
    start = 0
    starts = lists["person_key"].rle_id() if lists.height else pl.Series([], dtype=pl.UInt32)
    while start < lists.height:
        stop = min(start + size, lists.height)
        if stop < lists.height:
            stop = int(starts.search_sorted(starts[stop - 1], side="right"))
        yield lists.slice(start, stop - start)
        start = stop


def copy_profiles(frames: Marked, generation: int) -> Iterator[bytes]:
    """COPY text of the table profiles."""
    names = [name for name in frames.profiles.columns if name != "person_key"]
    rows = frames.profiles.select("person_key", _profile=pl.struct(names).struct.json_encode())
    rows = rows.join(frames.people, on="person_key", how="left", maintain_order="left")
    return copy_rows(rows, generation, ["person_key", "_mark", "_profile"])


def _plans(frames: Marked) -> Iterator[pl.DataFrame]:
    """Each person's ``_mark``, and ``_plan`` as JSON: the same text goes to both stores."""
    names = [name for name in PLANS.columns if name != "person_key"]
    for piece in frames.plans.iter_slices(PLANS_PER_PIECE):
        rows = piece.select("person_key", _plan=pl.struct(names).struct.json_encode())
        yield rows.join(frames.people, on="person_key", how="left", maintain_order="left")


def copy_plans(frames: Marked, generation: int) -> Iterator[bytes]:
    """COPY text of the table plans."""
    for rows in _plans(frames):
        yield from copy_rows(rows, generation, ["person_key", "_mark", "_plan"])


def cached_plans(frames: Marked, generation: int) -> Iterator[list[tuple[str, str]]]:
    """Key and JSON of each person's plan, in pieces."""
    for rows in _plans(frames):
        yield [(plan_key(generation, mark), plan) for mark, plan in rows.select("_mark", "_plan").iter_rows()]


# Of a list in Redis: column → the products' values, best first. Names written once instead of with every product save
# a third: 50 products of a grocer took 7.5 kB without the confidence, and take 5.0 with it.
SERVED = ("product_id", "score", "reason", "price_micros", "category", "confidence", "purchased", SOURCE)
NAMES = {SOURCE: "source", "product_id": "id", "similar_product_id": "id", "next_product_id": "id"}


def _columns(*columns: str) -> pl.Expr:
    """One struct of a list per column, as the API knows them."""
    return pl.struct([pl.col(column).alias(NAMES.get(column, column)) for column in columns])


_LIST_VALUE = (
    pl.struct(
        "candidates", "withheld", "owned", "tiers", recommendation_id="_recommendation_id", products=_columns(*SERVED)
    )
    .struct.json_encode()
    .cast(pl.Binary)
    .alias("_value")
)


def cached_lists(frames: Marked, generation: int) -> Iterator[list[tuple[str, bytes]]]:
    """Key and JSON of each person's served list, in pieces. Of what they own it has what is withheld, and the count."""
    whole = frames.lists.group_by("person_key").agg(candidates=pl.len())
    owned = frames.owned.select(
        "person_key", "tiers", withheld=pl.col("owned").list.head("withheld"), owned=pl.col("owned").list.len()
    )
    known = frames.people.join(owned, on="person_key", how="left", maintain_order="left").with_columns(
        pl.col("withheld").fill_null([]), pl.col("owned").fill_null(0)
    )
    served = frames.lists.select("person_key", "position", *SERVED).filter(pl.col.position.is_not_null())
    same = pl.col.person_key == pl.col.person_key.shift()
    if served.select((same & (pl.col.position < pl.col.position.shift())).any()).item():
        served = served.sort("person_key", "position")
    # A person's whole list is written as JSON at once, and handed over as bytes: row by row and as text took twice
    # the time, more than the sending.
    for piece in _by_person(served, SERVED_PER_PIECE):
        # One lazy query: between calls of its own this thread would wait for the one that sends.
        people = (
            piece.lazy()
            .group_by("person_key", maintain_order=True)
            .agg(*SERVED)
            .join(whole.lazy(), on="person_key", how="left", maintain_order="left")
            .join(known.lazy(), on="person_key", how="left", maintain_order="left")
            .select("_mark", _LIST_VALUE)
            .collect()
        )
        yield _list_pairs(people, generation)
    rest = frames.without_list().select("person_key").join(known, on="person_key", how="left", maintain_order="left")
    if rest.height:
        nothing = [pl.lit(None, dtype=pl.List(pl.String)).alias(name) for name in SERVED]
        yield _list_pairs(rest.with_columns(*nothing, candidates=pl.lit(0)).select("_mark", _LIST_VALUE), generation)


def _list_pairs(people: pl.DataFrame, generation: int) -> list[tuple[str, bytes]]:
    names = [list_key(generation, mark) for mark in people["_mark"]]
    return list(zip(names, people["_value"].to_list(), strict=True))


def cached_products(products: pl.DataFrame, generation: int) -> Iterator[tuple[str, str]]:
    """Key and JSON of each product: what filters ask of it."""
    facts = pl.struct("category", "parent_id", "price_tier", price_micros="unit_price_micros").struct.json_encode()
    for product, value in products.select("product_id", facts.alias("_value")).iter_rows():
        yield product_key(generation, product), value


def cached_near(similar: pl.DataFrame, following: pl.DataFrame, generation: int) -> Iterator[tuple[str, str]]:
    """Key and JSON of each product that has any: what is similar to it, and what is taken after it."""
    places = pl.col("source").replace_strict(SIMILAR_SOURCES, range(len(SIMILAR_SOURCES)), return_dtype=pl.Int16)
    parts = [
        part.sort("product_id", "rank")
        .group_by("product_id", maintain_order=True)
        .agg(columns)
        .select("product_id", _columns(*columns).alias(name))
        for name, part, columns in (
            (
                "similar",
                similar.with_columns(places.alias(SOURCE)),
                ("similar_product_id", "score", "confidence", SOURCE),
            ),
            ("next", following, ("next_product_id", "score")),
        )
    ]
    both = parts[0].join(parts[1], on="product_id", how="full", coalesce=True)
    values = both.select("product_id", pl.struct("similar", "next").struct.json_encode().alias("_value"))
    for product, value in values.iter_rows():
        yield near_key(generation, product), value


def cached_popular(popular: pl.DataFrame, products: pl.DataFrame, generation: int) -> Iterator[tuple[str, str]]:
    """One pair: all popular lists, under their top category; overall under none."""
    facts = products.select("product_id", "parent_id", "price_tier", _path="category")
    lists = (
        popular.join(facts, on="product_id", how="left")
        .sort("category", "rank")
        .group_by(_under="category", maintain_order=True)
        .agg("product_id", "score", "reason", "price_micros", "_path", "parent_id", "price_tier")
        .select(
            pl.struct(
                category="_under",
                products=pl.struct(
                    "score", "reason", "price_micros", "parent_id", "price_tier", id="product_id", category="_path"
                ),
            ).struct.json_encode()
        )
        .to_series()
    )
    yield popular_key(generation), "[" + ",".join(lists.to_list()) + "]"
