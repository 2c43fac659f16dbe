from pathlib import Path

import polars as pl
import pytest

from recsys_assets.benchmark.files import read
from recsys_assets.errors import SourceError


def test_numbers_and_text_are_the_same_ids(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1, 2], "item": [7, 8]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": ["1", "2"], "item": ["7", "8"]}).write_csv(tmp_path / "a.csv")
    one, other = read(tmp_path / "a.parquet", ("user", "item")), read(tmp_path / "a.csv", ("user", "item"))
    assert one.equals(other)
    assert one.row(0) == ("1", "7")


def test_leading_zeros_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\n001,1\n")
    assert read(tmp_path / "a.csv", ("user", "item")).row(0) == ("001", "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,product\n1,2\n", "has no column item; it has user, product, and this protocol reads user, item"),
        ("user,item\n", "is empty"),
        ("user,item\n1,\n", "has rows without item"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(SourceError, match=said):
        read(file, ("user", "item"))


def test_a_missing_file_and_one_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as a table"):
        read(tmp_path / "a.parquet", ("user",))
    (tmp_path / "a.parquet").write_text("user\n1\n")
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as a table"):
        read(tmp_path / "a.parquet", ("user",))


def test_a_position_that_is_no_number_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,position\n1,first\n")
    with pytest.raises(SourceError, match="position"):
        read(tmp_path / "a.csv", ("user",), ("position",))
