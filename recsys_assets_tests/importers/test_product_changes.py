import gzip
from pathlib import Path

import pytest

from recsys_assets.errors import SourceError
from recsys_assets.importers.product_changes import read_product_changes
from recsys_assets.logic.product_changes import ProductChange

CSV = 'product_id,in_stock,unit_price\n007,false,\nb,,2.49\n"o""d,d\nd",TRUE,1e1\n'
JSONL = (
    '{"product_id": "007", "in_stock": false}\n{"product_id": "b", "unit_price": 2.49}\n\n'
    '{"product_id": "o\\"d,d\\nd", "in_stock": true, "unit_price": "10"}\n'
)
SAID = [
    ProductChange("007", in_stock=False),
    ProductChange("b", price_micros=2_490_000),
    ProductChange('o"d,d\nd', in_stock=True, price_micros=10_000_000),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV.encode()),
        ("a.jsonl", JSONL.encode()),
        ("csv without a name", b"\xef\xbb\xbf" + CSV.encode()),
        ("json without a name", b"\n " + JSONL.encode()),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
    ],
)
def test_both_forms_say_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_product_changes(tmp_path / name) == SAID


def test_every_wrong_line_is_named_with_its_field(tmp_path: Path) -> None:
    lines = ["product_id,in_stock,unit_price", "a,no,", "b,maybe,", ",true,", "c,,0", "d,,-1", "e,,1.2.3", "f,,",
             "g,,NaN", f"{'é' * 64}x,true,", "h,true", "i,,1e10"]  # fmt: skip
    path = tmp_path / "wrong.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(SourceError) as refused:
        read_product_changes(path)
    said = str(refused.value).splitlines()
    assert said[0] == f"{path} is refused, nothing was changed:"
    for line, words in {
        3: "in_stock 'maybe'", 4: "product_id is empty", 5: "unit_price '0'", 6: "unit_price '-1'",
        7: "unit_price '1.2.3'", 8: "neither in_stock nor unit_price", 9: "unit_price 'NaN'",
        10: "product_id is longer", 11: "Wrong number of fields", 12: "unit_price '1e10'",
    }.items():  # fmt: skip
        assert said[line - 2].startswith(f"  line {line}: {words}"), (line, said)


def test_many_wrong_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text("product_id,in_stock\n" + "a,x\n" * 23)
    with pytest.raises(SourceError, match="… and 3 more"):
        read_product_changes(path)


BAD = {
    "another column": (b"product_id,in_stock,currency\na,true,USD\n", "it also has currency"),
    "another key": (b'{"product_id": "a", "in_stock": true, "stock": 1}\n', "it also has stock"),
    "no such column": (b"id,in_stock\na,true\n", "it also has id"),
    "nothing told": (b"product_id\na\n", "line 2: neither"),
    "empty": (b"", "the file is empty"),
    "a header alone": (b"product_id,in_stock\n", "no rows"),
    "another delimiter": (b"product_id;in_stock\na;true\n", "delimiter"),
    "not an object": (b'{"product_id": "a", "in_stock": true}\n[1]\n', "line 2: The line is not one JSON object"),
    "not UTF-8": (b"product_id,in_stock\n\xff,true\n", "line 2: The line is not valid UTF-8"),
    "a NUL": (b'{"product_id": "a\\u0000", "in_stock": true}\n', "line 1: product_id holds a NUL"),
    "a number as truth": (b'{"product_id": "a", "unit_price": true}\n', "line 1: A list or object"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_cannot_be_read_is_refused_by_the_name_it_was_given(tmp_path: Path, what: str) -> None:
    content, said = BAD[what]
    path = tmp_path / "copy of stdin"
    path.write_bytes(content)
    with pytest.raises(SourceError) as refused:
        read_product_changes(path, "standard input")
    assert said in str(refused.value)
    assert str(refused.value).startswith("standard input")
    assert str(path) not in str(refused.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not there"):
        read_product_changes(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="cannot be read"):
        read_product_changes(tmp_path)
