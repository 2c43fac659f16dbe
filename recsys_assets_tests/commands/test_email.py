import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from recsys_assets.commands import email
from recsys_assets.errors import RecsysError, SettingsError, SourceError
from recsys_assets.local.processes import free_port
from recsys_assets.logic.wishes import Wishes
from recsys_assets.tables import CATALOG, LISTS, POPULAR_ITEMS
from recsys_assets_tests.published import DAY, Stores, frame, frames

PRICE = 1_500_000
NAMES = {
    "tea": "Black tea",
    "tea-green": "Green tea",
    "mug": "Mug",
    "pot": "Teapot",
    "milk": "Oat milk",
    "honey": "Forest honey",
    "jam": "Plum jam",
    "bread": "Rye bread",
}
PARENTS = {"tea": "teas", "tea-green": "teas"}
POPULAR = ["bread", "tea", "milk"]
ORDER = {
    "order_id": "A/1001",
    "currency": "EUR",
    "lines": [{"product_id": "tea", "name": "Black tea", "quantity": 2, "unit_price": 1.5}],
}
Render = Callable[..., str]


def publish(stores: Stores, lists: dict[str, list[str]]) -> None:
    """A generation with these lists of products by user, and three popular products."""
    made = frames([])
    offered = [
        {"person_key": stores.key(user), "rank": n, "product_id": product, "score": 1 / n, "price_micros": PRICE,
         "category": "x", "reason_code": "similar_owned", "reason_count": n, "reason": f"Similar to {n} items",
         "purchased": False, "position": n}
        for user, products in lists.items() for n, product in enumerate(products, 1)
    ]  # fmt: skip
    popular = [
        {"category": "", "rank": n, "product_id": product, "score": 1 / n, "buyers": 9, "price_micros": PRICE,
         "reason": "Bought by 9 customers in the last 30 days"}
        for n, product in enumerate(POPULAR, 1)
    ]  # fmt: skip
    products = [
        {"product_id": product, "name": name, "parent_id": PARENTS.get(product), "category": "x",
         "unit_price_micros": PRICE, "list_price_micros": 2 * PRICE if product == "pot" else None}
        for product, name in NAMES.items()
    ]  # fmt: skip
    whole = replace(
        made, lists=frame(LISTS, offered), popular=frame(POPULAR_ITEMS, popular), products=frame(CATALOG, products)
    )
    stores.publisher.publish(DAY, whole, model_version="1", keep=5, progress=str)


@pytest.fixture
def order_file(tmp_path: Path) -> Path:
    path = tmp_path / "order.json"
    path.write_text(json.dumps(ORDER))
    return path


@pytest.fixture
def render(stores: Stores, monkeypatch: pytest.MonkeyPatch, order_file: Path) -> Render:
    """Renders the e-mail of a user; its text."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(user: str, *more: str) -> str:
        arguments = ["render", "order_confirmation", "--user", user, "--order", str(order_file), *more]
        printed = CliRunner().invoke(email.email, arguments, catch_exceptions=False).output
        html, text = map(Path, printed.splitlines())
        assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
        return text.read_text(encoding="utf-8")

    return invoke


def offered(text: str) -> list[str]:
    """The products that a mail offers, in order, by name."""
    return [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]


def test_a_known_user_gets_the_best_four_of_their_list(stores: Stores, render: Render) -> None:
    publish(stores, {"7": ["pot", "milk", "honey", "jam", "bread"]})
    text = render("7")
    assert offered(text) == ["Teapot", "Oat milk", "Forest honey", "Plum jam"]
    assert "Similar to 1 items" in text
    assert "Goes with what you like" in text  # all four for the same reason
    assert "€1.50 (instead of €3.00, 50 % off)" in text
    assert "Total: €3.00" in text  # 2 × 1.50
    assert offered(render("key:" + stores.key("7"))) == offered(text)


def test_neither_the_orders_products_nor_their_variants_are_offered(stores: Stores, render: Render) -> None:
    # The order says nothing of parents: that the two teas are one product stands in the catalogue.
    publish(stores, {"7": ["tea", "tea-green", "pot"]})
    assert offered(render("7")) == ["Teapot"]


def test_an_unknown_user_gets_what_is_popular(stores: Stores, render: Render) -> None:
    publish(stores, {"7": ["pot"]})
    text = render("nobody")
    assert offered(text) == ["Rye bread", "Oat milk"]  # the tea is in the order
    assert "What others buy right now" in text
    assert offered(render("7", "--anon")) == offered(text)  # the cookie 7 is not the user 7


def test_who_opted_out_gets_what_is_popular_and_after_opting_in_their_own(stores: Stores, render: Render) -> None:
    publish(stores, {"7": ["pot"]})
    stores.suppressions.optout(stores.key("7"))
    assert offered(render("7")) == ["Rye bread", "Oat milk"]
    publish(stores, {"7": ["pot"]})  # a publish does not bring them back
    assert offered(render("7")) == ["Rye bread", "Oat milk"]
    stores.suppressions.optin(stores.key("7"))
    publish(stores, {"7": ["pot"]})
    assert offered(render("7")) == ["Teapot"]


def test_who_wants_no_marketing_mail_gets_the_order_and_no_offers(stores: Stores, render: Render) -> None:
    publish(stores, {"7": ["pot"]})
    stores.suppressions.follow(Wishes(transactional_only=[stores.key("7"), stores.key("unknown")]))
    for user in ("7", "unknown"):
        text = render(user)
        assert offered(text) == []
        assert "Total: €3.00" in text
    stores.suppressions.follow(Wishes(marketing_too=[stores.key("7")]))
    assert offered(render("7")) == ["Teapot"]


def test_the_mail_is_of_the_live_generation(stores: Stores, render: Render) -> None:
    publish(stores, {"7": ["pot"]})
    publish(stores, {"7": ["jam"]})
    assert offered(render("7")) == ["Plum jam"]
    stores.publisher.rollback()
    assert offered(render("7")) == ["Teapot"]


def test_before_the_first_generation_the_mail_has_no_offers(stores: Stores, render: Render) -> None:
    assert offered(render("7")) == []
    with psycopg.connect(stores.postgres_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)  # rendering a mail makes no schema
    stores.publisher._postgres.migrate()
    text = render("7")
    assert offered(text) == []
    assert "Total: €3.00" in text


def test_files_are_named_by_the_order_and_stand_where_they_are_wanted(
    stores: Stores, render: Render, tmp_path: Path
) -> None:
    render("7")
    stem = "order_confirmation-A_1001"  # no order id leads out of the folder
    names = sorted(path.name for path in (stores.home.exports / "mail").iterdir())
    assert names == [
        ".people",
        f"{stem}.html",
        f"{stem}.txt",
    ]  # the first, a folder, says whose they are, for an erasure
    render("7", "--out", str(tmp_path / "a new" / "folder"))
    assert (tmp_path / "a new" / "folder" / f"{stem}.txt").exists()


def test_an_address_that_no_mail_can_link_is_refused_by_its_name(stores: Stores, render: Render) -> None:
    path = stores.home.path / "home.toml"
    whole = path.read_text()
    path.write_text('opt_out_url = "https://shop.example/no-recommendations"\n' + whole)
    assert "Stop personal recommendations: https://shop.example/no-recommendations" in render("7")
    path.write_text('opt_out_url = "shop.example/opt-out"\n' + whole)
    with pytest.raises(SettingsError, match=r"opt_out_url = 'shop\.example/opt-out' in .*home\.toml"):
        render("7")


def changed(**line: object) -> bytes:
    """The order with another line."""
    return json.dumps(
        ORDER | {"lines": [{"product_id": "a", "name": "A", "quantity": 1, "unit_price": 1} | line]}
    ).encode()


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "line 1: not JSON"),
    "not JSON": (b'{"order_id":\n "1",}', "line 2: not JSON"),
    "not UTF-8": ('{"order_id": "é"}'.encode("latin-1"), "is not UTF-8"),
    "endless brackets": (b"[" * 100_000, "not JSON"),
    "an endless number": (b'{"order_id": ' + b"1" * 5000 + b"}", "not JSON"),
    "a list": (b"[]", "the order is refused:\n  order: "),
    "a field too few": (b'{"order_id": "1", "currency": "EUR"}', "\n  lines: Field required"),
    "a field too many": (json.dumps(ORDER | {"color": 1}).encode(), "\n  color: Extra inputs"),
    "a wrong field": (json.dumps(ORDER | {"currency": "euro"}).encode(), "\n  currency: "),
    "a quantity of 0": (changed(quantity=0), "\n  lines.0.quantity: "),
    "a price of NaN": (changed(unit_price=float("nan")), "\n  lines.0.unit_price: "),
    "an empty id": (changed(product_id=""), "\n  lines.0.product_id: "),
    "a NUL": (changed(product_id="a\0"), "\n  lines.0.product_id: "),
    "half a character": (changed(parent_id="a\ud800"), "\n  lines.0.parent_id: "),
    "129 bytes": (changed(product_id="é" * 64 + "x"), "\n  lines.0.product_id: "),
}


@pytest.mark.parametrize("what", BAD)
def test_an_order_that_cannot_be_read_is_refused_and_the_message_says_where(
    render: Render, order_file: Path, what: str
) -> None:
    content, said = BAD[what]
    order_file.write_bytes(content)
    with pytest.raises(SourceError) as refused:
        render("7")
    assert said in str(refused.value)


def test_a_missing_order_and_a_folder_are_refused(render: Render, order_file: Path) -> None:
    order_file.unlink()
    with pytest.raises(SourceError, match="is not there"):
        render("7")
    order_file.mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        render("7")


def test_an_order_with_a_byte_order_mark_is_read(render: Render, order_file: Path) -> None:
    order_file.write_bytes(b"\xef\xbb\xbf" + json.dumps(ORDER).encode())
    assert "A/1001" in render("7")


def test_no_message_quotes_the_order(render: Render, order_file: Path) -> None:
    order_file.write_text(json.dumps(ORDER | {"customer_name": ["Ada Lovelace"], "currency": "Ada Lovelace"}))
    with pytest.raises(RecsysError) as refused:
        render("7")
    assert "Ada" not in str(refused.value)


@pytest.fixture
def failed(stores: Stores, order_file: Path) -> Callable[..., str]:
    """What `recsys email` says on stderr, as a process of its own that ends with exit code 1."""

    def run(code: int = 1, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "recsys_assets.cli", "email", "render", "order_confirmation", "--user", "7",
             "--order", str(order_file)],
            env=os.environ | stores.environment | environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (code, "")
        return done.stderr

    return run


def test_a_wrong_order_ends_with_one_message_and_exit_code_1(failed: Callable[..., str], order_file: Path) -> None:
    order_file.write_bytes(b"{")
    said = failed()
    assert said.startswith(f"recsys: {order_file}, line 1: not JSON")
    assert said.count("\n") == 1


def test_without_postgres_it_ends_with_one_message_and_exit_code_3(failed: Callable[..., str]) -> None:
    said = failed(code=3, RECSYS_POSTGRES_URL=f"postgresql://app:secret@127.0.0.1:{free_port()}/x")
    assert "RECSYS_POSTGRES_URL" in said
    assert "Traceback" not in said
    assert "secret" not in said
