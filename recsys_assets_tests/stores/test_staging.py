"""What goes into COPY comes out of Postgres, whatever characters it holds."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.identity import KeyRing
from recsys_assets.stores import staging
from recsys_assets.stores.loading import ahead
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Frames
from recsys_assets.tables import CATALOG, LISTS, NEXT_ITEMS, OWNED, PLANS, POPULAR_ITEMS, SIMILAR_ITEMS, USER_PROFILES
from recsys_assets_tests.published import frame, frames, plan

KEYS = KeyRing(b"0123456789abcdef")
ODD_PARTS = ["\\", '"', "'", ",", "{", "}", "\t", "\n", "\r", "NULL", "\\N", "\\.", "🥖", " ", "\b", "\x7f", "�", "a"]
# NUL cannot be in an id, nor in Postgres's text.
TEXT = st.lists(st.sampled_from(ODD_PARTS), max_size=5).map("".join) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8
)


@pytest.fixture(scope="module")
def connection(database: Callable[[], str]) -> Iterator[psycopg.Connection]:
    url = database()
    Postgres(url).migrate()
    with psycopg.connect(url, autocommit=True) as opened:
        for table in ("lists", "products", "profiles", "plans"):
            opened.execute(f"CREATE TABLE its_{table} (LIKE {table} INCLUDING ALL)")
        yield opened


def shortest(numbers: list[float | None]) -> list[float | None]:
    """Postgres prints the shortest digits that mean the same 32 bits."""
    return pl.Series(numbers, dtype=pl.Float32).to_list()


def copied(connection: psycopg.Connection, table: str, text: Iterator[bytes]) -> None:
    connection.execute(f"TRUNCATE {table}")
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for piece in text:
            copy.write(piece)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(TEXT, TEXT | st.none(), st.none() | st.floats(width=32, allow_nan=False)), min_size=1, max_size=12
    )
)
def test_arrays_come_back(connection: psycopg.Connection, rows: list[tuple[str, str | None, float | None]]) -> None:
    made = [
        {"person_key": KEYS.user_key("1"), "rank": n, "product_id": f"{n}{text}", "reason": text,
         "category": maybe, "als": score, "position": n if n % 2 else None, "purchased": n % 2 == 0}
        for n, (text, maybe, score) in enumerate(rows, 1)
    ]  # fmt: skip
    ids = [row["product_id"] for row in made]
    # Somebody owns whatever a list could hold, and has none.
    owned = [
        {"person_key": KEYS.user_key("1"), "owned": ids, "withheld": 1, "tiers": ["budget", "mid"]},
        {"person_key": KEYS.user_key("2"), "owned": ids, "withheld": len(ids), "tiers": None},
    ]
    marked = staging.marked(replace(only_lists(frame(LISTS, made)), owned=frame(OWNED, owned)), KEYS, 7)
    copied(connection, "its_lists", staging.copy_lists(marked, 7))
    kept = "SELECT owned, withheld, tiers, product_ids = '{}' FROM its_lists ORDER BY withheld, product_ids DESC"
    assert sorted(connection.execute(kept).fetchall(), key=lambda row: row[3]) == [
        (ids, 1, ["budget", "mid"], False), (ids, len(ids), None, True),
    ]  # fmt: skip
    connection.execute("DELETE FROM its_lists WHERE product_ids = '{}'")
    found = connection.execute(
        "SELECT generation, person_key, product_ids, reasons, categories, als, positions, purchased FROM its_lists"
    ).fetchall()
    assert [(*row[:5], shortest(row[5]), *row[6:]) for row in found] == [
        (
            7,
            found[0][1],
            [row["product_id"] for row in made],
            [row["reason"] for row in made],
            [row["category"] for row in made],
            # A member that nobody was asked about takes no room.
            [row["als"] for row in made] if any(row["als"] is not None for row in made) else [],
            [row["position"] for row in made],
            [row["purchased"] for row in made],
        )
    ]
    assert found[0][1].hex == KEYS.user_key("1")
    *lists, (other, nothing) = (pair for pairs in staging.cached_lists(marked, 7) for pair in pairs)
    assert other == f"recsys:7:list:{KEYS.mark(KEYS.user_key('2'))}"
    assert json.loads(nothing) | {"recommendation_id": None} == {
        "candidates": 0, "withheld": ids, "owned": len(ids), "tiers": None, "recommendation_id": None,
        "products": dict.fromkeys(json.loads(nothing)["products"]),
    }  # fmt: skip
    ((key, value),) = lists
    assert key == f"recsys:7:list:{KEYS.mark(KEYS.user_key('1'))}"
    cached = json.loads(value)
    assert cached["candidates"] == len(made)
    assert (cached["withheld"], cached["owned"], cached["tiers"]) == (ids[:1], len(ids), ["budget", "mid"])
    assert list(zip(cached["products"]["id"], cached["products"]["reason"], strict=True)) == [
        (row["product_id"], row["reason"]) for row in made if row["position"]
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT | st.none()), min_size=1, max_size=12))
def test_scalars_and_json_come_back(connection: psycopg.Connection, rows: list[tuple[str, str | None]]) -> None:
    catalog = [{"product_id": f"{n}{text}", "name": maybe} for n, (text, maybe) in enumerate(rows)]
    columns = ["product_id", "parent_id", "name", "category", "brand", "unit_price_micros", "list_price_micros",
               "image_url", "url", "in_stock", "not_recommendable", "price_tier"]  # fmt: skip
    products = frame(CATALOG, catalog).with_columns(price_tier=pl.lit("mid"))
    copied(connection, "its_products", staging.copy_rows(products, 7, columns))
    found = connection.execute("SELECT product_id, name, brand FROM its_products ORDER BY product_id").fetchall()
    assert sorted(found) == sorted((row["product_id"], row["name"], None) for row in catalog)
    # Characters that JSON escapes and jsonb takes: all but NUL.
    profiles = [
        {"person_key": KEYS.user_key(str(n)), "user_type": text, "favourite_categories": [text, maybe or ""]}
        for n, (text, maybe) in enumerate(rows)
    ]
    marked = staging.marked(replace(only_lists(LISTS.empty()), profiles=frame(USER_PROFILES, profiles)), KEYS, 7)
    copied(connection, "its_profiles", staging.copy_profiles(marked, 7))
    stored = connection.execute("SELECT person_key, profile FROM its_profiles").fetchall()
    assert {(key.hex, p["user_type"], *p["favourite_categories"]) for key, p in stored} == {
        (KEYS.user_key(str(n)), text, text, maybe or "") for n, (text, maybe) in enumerate(rows)
    }


def only_lists(lists: pl.DataFrame) -> Frames:
    tables = (SIMILAR_ITEMS, NEXT_ITEMS, POPULAR_ITEMS, CATALOG, USER_PROFILES)
    return Frames(lists, *(table.empty() for table in tables))


def test_pieces_never_cut_a_person_and_row_order_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    made = frames([KEYS.user_key(str(n)) for n in range(7)])
    whole = list(staging.copy_lists(staging.marked(made, KEYS, 1), 1))
    assert len(whole) == 1
    monkeypatch.setattr(staging, "ROWS_PER_PIECE", 4)  # a person has 3
    shuffled = replace(made, lists=made.lists.sample(fraction=1, shuffle=True, seed=1))
    pieces = list(staging.copy_lists(staging.marked(shuffled, KEYS, 1), 1))
    assert len(pieces) == 4
    assert b"".join(pieces) == whole[0]
    assert whole[0].count(b"\n") == 7


def test_the_suppressed_are_left_out() -> None:
    one, two = KEYS.user_key("1"), KEYS.user_key("2")
    marked = staging.marked(frames([one, two]), KEYS, 1, {KEYS.mark(one)})
    assert (
        set(marked.lists["person_key"])
        == set(marked.profiles["person_key"])
        == set(marked.plans["person_key"])
        == set(marked.people["person_key"])
        == {two}
    )


def test_a_plan_is_one_line_and_the_same_json_in_both_stores() -> None:
    key = KEYS.user_key("only a plan")
    more = {"purchase_probability": None, "category_scores": [1e-07, -2.25], "price_low_micros": 2**53 + 1}
    made = plan(key, ["a", 'b"\t'], **more)
    marked = staging.marked(replace(frames([]), plans=frame(PLANS, [made])), KEYS, 7)
    golden = (
        r'{"intent":"replenish","intent_probability":0.5,"categories":["x > y","o\"d\\d\t{1},\n🥖"],'
        r'"category_probabilities":[0.75,0.25],"price_low_micros":9007199254740993,"price_middle_micros":10,'
        r'"price_high_micros":20,"trigger":"on-page","purchase_probability":null,"language":"en",'
        r'"product_ids":["a","b\"\t"],"reason_codes":["code","code"],"offer_intents":["replenish","replenish"],'
        r'"scored_categories":["x > y","o\"d\\d\t{1},\n🥖"],"category_scores":[1e-7,-2.25],'
        r'"intent_scores":[-2.5,-3.0,-3.5,-0.7,-1.5],"trigger_scores":[-0.1,-3.0,-3.0]}'
    )
    (((name, value),),) = staging.cached_plans(marked, 7)
    assert (name, value) == (f"recsys:7:plan:{KEYS.mark(key)}", golden)
    text = b"".join(staging.copy_plans(marked, 7)).decode()
    assert text == "\t".join(("7", key, KEYS.mark(key), golden.replace("\\", "\\\\"))) + "\n"
    assert json.loads(value) == {name: value for name, value in made.items() if name != "person_key"}


def test_plans_come_in_pieces_and_back_out_of_postgres(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PLANS_PER_PIECE", 2)
    keys = [KEYS.user_key(str(n)) for n in range(5)]
    marked = staging.marked(frames(keys), KEYS, 7, {KEYS.mark(keys[0])})
    assert len(list(staging.copy_plans(marked, 7))) == 2
    copied(connection, "its_plans", staging.copy_plans(marked, 7))
    stored = connection.execute("SELECT generation, mark, plan FROM its_plans").fetchall()
    assert {(7, mark.hex, json.dumps(plan, sort_keys=True)) for _, mark, plan in stored} == {
        (7, name.rpartition(":")[2], json.dumps(json.loads(value), sort_keys=True))
        for piece in staging.cached_plans(marked, 7)
        for name, value in piece
    }
    assert {mark.hex for _, mark, _ in stored} == {KEYS.mark(key) for key in keys[1:]}


def test_building_ahead_keeps_order_and_errors() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"1"
        yield b"2"
        raise ZeroDivisionError

    seen: list[bytes] = []
    with ahead(pieces()) as each, pytest.raises(ZeroDivisionError):
        seen.extend(each)
    assert seen == [b"1", b"2"]


def test_live_lists_show_every_member_and_null_where_nobody_was_asked(connection: psycopg.Connection) -> None:
    made = [
        {"person_key": KEYS.user_key("1"), "rank": n, "product_id": f"i{n}", "reason": "why", "reason_code": "taste",
         "score": 1 / n, "linear": 0.5 / n, "purchased": False}
        for n in (1, 2)
    ]  # fmt: skip
    marked = staging.marked(only_lists(frame(LISTS, made)), KEYS, 7)
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE TABLE lists_7 PARTITION OF lists FOR VALUES IN (7)")
        copied(connection, "lists_7", staging.copy_lists(marked, 7))
        connection.execute("INSERT INTO generations (generation, day, state, model_version, list_hash, people) "
                           "OVERRIDING SYSTEM VALUE VALUES (7, '2024-03-01', 'live', '1', 'h', 1)")  # fmt: skip
        connection.execute("UPDATE live SET generation = 7")
        found = connection.execute(
            "SELECT product_id, linear, als, session, basket, content, transitions FROM live_lists ORDER BY rank"
        ).fetchall()
    assert found == [("i1", 0.5, None, None, None, None, None), ("i2", 0.25, None, None, None, None, None)]
