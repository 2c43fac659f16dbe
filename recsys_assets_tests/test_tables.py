"""One vocabulary: a column that the code names is a column of a table, or starts with an underscore."""

import ast
from pathlib import Path

import recsys_assets
from recsys_assets.contract import FIELDS
from recsys_assets.tables import TABLES

PACKAGE = Path(recsys_assets.__file__).parent
# Columns of tables, and of the files that become landing tables.
VOCABULARY = {column for table in TABLES.values() for column in table.columns} | {
    field.name for fields in FIELDS.values() for field in fields
}


def columns_named_in(path: Path) -> set[str]:
    """Names in ``pl.col.x`` and ``pl.col("x", "y")``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pl.col":
            found.add(node.attr)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pl.col":
            found |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


def test_every_column_that_logic_models_and_assets_name_is_in_the_vocabulary() -> None:
    strangers = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for room in ("logic", "models", "assets")
        for path in (PACKAGE / room).glob("*.py")
        for name in columns_named_in(path) - VOCABULARY
        if not name.startswith("_")
    }
    assert strangers == set()


def test_grain_and_conform() -> None:
    for table in TABLES.values():
        assert set(table.grain) <= set(table.columns), table.name
        assert table.conform(table.empty()).columns == list(table.columns)
