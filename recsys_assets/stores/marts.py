"""Aggregate tables of the lake → Postgres tables of the same name, from which the marts are made."""

from collections.abc import Sequence
from datetime import date

import polars as pl
from psycopg import sql

from recsys_assets.stores.postgres import Postgres
from recsys_assets.tables import Table


def load(postgres: Postgres, table: Table, days: Sequence[date], frame: pl.DataFrame) -> int:
    """Replaces ``days`` of a table whose first grain column is the day, in one transaction; returns its rows.

    Raises:
        StoreError: Postgres does not answer; the table is as it was.
        TableError: the frame is not of the table's columns and dtypes.
    """
    postgres.migrate()
    name, day = sql.Identifier(table.name), sql.Identifier(table.grain[0])
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in table.columns)
    with postgres.connect() as connection, connection.transaction(), connection.cursor() as cursor:
        cursor.execute(sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(name, day), [list(days)])
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(name, columns)) as copy:
            for row in table.conform(frame).iter_rows():
                copy.write_row(row)
    return frame.height
