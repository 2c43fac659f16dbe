"""Words of `sources` stand in SQL too, by place: another order there would name another member."""

import re

from recsys_assets.settings import CHECKOUT
from recsys_assets.sources import SIMILAR_SOURCES, SOURCES

SQL = CHECKOUT / "sql"


def words(text: str, first: str) -> list[list[str]]:
    return [found.split(",") for found in re.findall(rf"'{{({first},[a-z_,]+)}}'", text)]


def test_sql_has_the_sources_of_lists_in_their_places() -> None:
    newest = [path for path in sorted((SQL / "schema").glob("*.sql")) if "VIEW live_lists AS" in path.read_text()][-1]
    for path in (newest, SQL / "read" / "export_lists.sql"):
        assert words(path.read_text(), SOURCES[0]) == [list(SOURCES)], path.name


def test_sql_has_the_sources_of_similar_items_in_their_places() -> None:
    for name in ("near.sql", "cached_near.sql"):
        assert words((SQL / "read" / name).read_text(), SIMILAR_SOURCES[0]) == [list(SIMILAR_SOURCES)], name
