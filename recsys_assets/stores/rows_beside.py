"""Rows as a publish would send them, held against the rows that a generation has."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from recsys_assets.stores.loading import send
from recsys_assets.stores.postgres import PERSON_TABLES, Connection, rows

_WORDS = {
    "missing": "that only the lake has",
    "surplus": "that only Postgres has",
    "other": "that are not the same in both",
}


@dataclass(frozen=True)
class Differing:
    """How one table differs: ``told`` has what, how many rows, and examples.

    ``rows`` were compared. ``returned`` rows are missing because their people opted out and in again since.
    """

    table: str
    rows: int
    told: tuple[tuple[str, int, list[str]], ...]
    returned: int

    @property
    def count(self) -> int:
        """Rows that differ."""
        return sum(count for _, count, _ in self.told)


def beside(
    connection: Connection, table: str, generation: int, text: Iterator[bytes], came_back: Collection[str], named: int
) -> Differing:
    """Compares a table's rows of a generation with COPY text, within the caller's transaction.

    Args:
        connection: in a transaction.
        table: of `stores.loading.TABLES`.
        generation: whose rows.
        text: what a publish would send.
        came_back: marks of people who have opted in since the generation was made: they may be missing.
        named: examples of each difference.
    """
    keys = [row["name"] for row in rows(connection, "read/key_columns", {"table": table})]
    names = {
        "table": sql.Identifier(table),
        "sent": sql.Identifier(f"sent_{table}"),
        "keys": sql.SQL(", ").join(map(sql.Identifier, keys)),
        "generation": sql.Literal(generation),
    }
    connection.execute(sql.SQL("CREATE TEMP TABLE {sent} (LIKE {table}) ON COMMIT DROP").format(**names))
    with connection.cursor() as cursor:
        sent = send(cursor, names["sent"], text)
    connection.execute(sql.SQL("ANALYZE {sent}").format(**names))
    # Compared as rows of values: nulls are equal, and numbers have been rounded to the column's type on their way. Only
    # keys are noted: where a day was made anew, every row may differ.
    differing = sql.SQL("""
        CREATE TEMP TABLE differing ON COMMIT DROP AS
        SELECT {keys}, {mark} AS sent_mark,
               CASE WHEN t.generation IS NULL THEN 'missing' WHEN s.generation IS NULL THEN 'surplus' ELSE 'other' END
                   AS how
        FROM {sent} s
        FULL JOIN (SELECT * FROM {table} WHERE generation = {generation}) t USING ({keys})
        WHERE ROW(s.*) IS DISTINCT FROM ROW(t.*)
    """)
    mark = sql.SQL("s.mark" if table in PERSON_TABLES else "NULL::uuid")
    connection.execute(differing.format(**names, mark=mark))
    returned = connection.execute(
        "DELETE FROM differing WHERE how = 'missing' AND sent_mark = ANY(%s::uuid[])", [list(came_back)]
    ).rowcount
    counts = connection.execute("SELECT how, count(*) AS rows FROM differing GROUP BY how ORDER BY how").fetchall()
    first = sql.SQL("""
        SELECT to_jsonb(s) AS sent, to_jsonb(t) AS there
        FROM (SELECT * FROM differing WHERE how = %s ORDER BY {keys} LIMIT %s) d
        LEFT JOIN {sent} s USING ({keys})
        LEFT JOIN {table} t USING ({keys})
        ORDER BY {keys}
    """).format(**names)
    told = []
    for row in counts:
        examples = connection.execute(first, [row["how"], named]).fetchall()
        told.append((_WORDS[row["how"]], row["rows"], [_named(one["sent"], one["there"], keys) for one in examples]))
    connection.execute(sql.SQL("DROP TABLE differing, {sent}").format(**names))
    return Differing(table, sent, tuple(told), returned)


def _named(sent: dict[str, Any] | None, there: dict[str, Any] | None, keys: list[str]) -> str:
    """A row by its key, and the columns in which it differs."""
    known = sent or there or {}
    name = ", ".join(f"{key} {_key(known[key])}" for key in keys if key != "generation")
    if sent is None or there is None:
        return name
    return f"{name}: {', '.join(column for column in sent if sent[column] != there[column])}"


def _key(value: object) -> str:
    return "".join(c if c.isprintable() else " " for c in str(value))
