"""Frames of a day → the bytes of a COPY, and the values of Redis. All of it in polars expressions."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from recsys_assets.columns import MEMBERS
from recsys_assets.identity import KeyRing
from recsys_assets.logic.hashing import in_order
from recsys_assets.logic.recommendation_ids import recommendation_id
from recsys_assets.stores.cache import list_key, popular_key, product_key

# Pieces are small enough that building the next overlaps with the server's reading of this one, and large enough
# that polars works in parallel.
ROWS_PER_PIECE = 100_000
SERVED_PER_PIECE = 25_000
Escapes = tuple[tuple[str, str], ...]
_ESCAPES: Escapes = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
# Within an array every element is quoted, so backslash and quote are escaped once more, before COPY's own escapes.
_ARRAY_ESCAPES: Escapes = (("\\", "\\\\"), ('"', '\\"'), *_ESCAPES)
_SPECIAL = ["\\", '"', "\t", "\n", "\r"]


@dataclass(frozen=True)
class Frames:
    """What a generation is made of: LISTS, SIMILAR_ITEMS, POPULAR_ITEMS, CATALOG and USER_PROFILES of one day."""

    lists: pl.DataFrame
    similar: pl.DataFrame
    popular: pl.DataFrame
    products: pl.DataFrame
    profiles: pl.DataFrame


@dataclass(frozen=True)
class Marked:
    """Frames without the suppressed, lists by person and rank.

    ``people`` has one row per person: ``person_key``, ``_mark`` and the list's ``_recommendation_id``.
    """

    lists: pl.DataFrame
    similar: pl.DataFrame
    popular: pl.DataFrame
    products: pl.DataFrame
    profiles: pl.DataFrame
    people: pl.DataFrame


def marked(frames: Frames, keys: KeyRing, generation: int, suppressed: Collection[str] = ()) -> Marked:
    """Frames with the marks of their people, without those whose mark is ``suppressed``."""
    everybody = (
        pl.concat([frames.lists.select("person_key"), frames.profiles.select("person_key")]).unique().to_series().sort()
    )
    marks = {key: keys.mark(key) for key in everybody}
    here = [key for key, mark in marks.items() if mark not in suppressed]
    people = pl.DataFrame(
        {
            "person_key": here,
            "_mark": [marks[key] for key in here],
            "_recommendation_id": [recommendation_id(keys, generation, key) for key in here],
        },
        schema={"person_key": pl.String, "_mark": pl.String, "_recommendation_id": pl.String},
    )
    lists, profiles = frames.lists, frames.profiles
    if len(here) < len(marks):
        lists = lists.join(people, on="person_key", how="semi", maintain_order="left")
        profiles = profiles.join(people, on="person_key", how="semi", maintain_order="left")
    return Marked(in_order(lists), frames.similar, frames.popular, frames.products, profiles, people)


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


ARRAYS = (
    "product_id", "score", "als", "item_cf", "popularity", "personal", "confidence", "price_micros", "category",
    "reason_code", "reason_count", "reason", "purchased", "position", "linear", "transitions", "session", "basket",
    "content",
)  # fmt: skip


def copy_lists(frames: Marked, generation: int) -> Iterator[bytes]:
    """COPY text of the table lists, one line per person; arrays of members that nobody was asked about are empty."""
    columns = ("person_key", "_mark", "_recommendation_id", *ARRAYS)
    line = pl.concat_str([pl.lit(str(generation)), *(pl.col(column) for column in columns)], separator="\t")
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
            .join(frames.people.lazy(), on="person_key", how="left", maintain_order="left")
            .select(line)
            .collect()
        )
        yield _bytes(lines.to_series())


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


def cached_lists(frames: Marked, generation: int) -> Iterator[list[tuple[str, bytes]]]:
    """Key and JSON of each person's served list, in pieces."""
    columns = ("person_key", "position", "product_id", "score", "reason", "price_micros", "category", "purchased")
    served = frames.lists.select(columns).filter(pl.col.position.is_not_null())
    same = pl.col.person_key == pl.col.person_key.shift()
    if served.select((same & (pl.col.position < pl.col.position.shift())).any()).item():
        served = served.sort("person_key", "position")
    product = pl.struct(
        id="product_id",
        score="score",
        reason="reason",
        price_micros="price_micros",
        category="category",
        purchased="purchased",
    )
    # A person's whole list is written as JSON at once, and handed over as bytes: row by row and as text took twice
    # the time, more than the sending.
    for piece in _by_person(served, SERVED_PER_PIECE):
        # One lazy query: between calls of its own this thread would wait for the one that sends.
        json = pl.struct(recommendation_id="_recommendation_id", products="products").struct.json_encode()
        people = (
            piece.lazy()
            .group_by("person_key", maintain_order=True)
            .agg(products=product)
            .join(frames.people.lazy(), on="person_key", how="left", maintain_order="left")
            .select("_mark", json.cast(pl.Binary).alias("_value"))
            .collect()
        )
        names = [list_key(generation, mark) for mark in people["_mark"]]
        yield list(zip(names, people["_value"].to_list(), strict=True))


def cached_products(products: pl.DataFrame, similar: pl.DataFrame, generation: int) -> Iterator[tuple[str, str]]:
    """Key and JSON of each product: its category and what is similar to it."""
    near = (
        similar.sort("product_id", "rank")
        .select("product_id", _json=pl.struct(id="similar_product_id", score="score").struct.json_encode())
        .group_by("product_id", maintain_order=True)
        .agg(pl.col("_json").str.join(","))
    )
    facts = products.select("product_id", _category=pl.struct("category").struct.json_encode().str.strip_suffix("}"))
    for product, category, joined in facts.join(near, on="product_id", how="left").iter_rows():
        yield product_key(generation, product), f'{category},"similar":[{joined or ""}]}}'


def cached_popular(popular: pl.DataFrame, generation: int) -> Iterator[tuple[str, str]]:
    """One pair: all popular lists by category."""
    lists = (
        popular.sort("category", "rank")
        .select("category", _json=pl.struct(id="product_id", score="score", reason="reason").struct.json_encode())
        .group_by("category", maintain_order=True)
        .agg(pl.col("_json").str.join(","))
        .select(
            pl.struct("category").struct.json_encode().str.strip_suffix("}") + ',"products":[' + pl.col("_json") + "]}"
        )
        .to_series()
    )
    yield popular_key(generation), "[" + ",".join(lists.to_list()) + "]"
