import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.errors import SourceError
from recsys_assets.logic.emails import MAX_OFFERS, Mail, Offer, Order, Sender, fitting, render
from recsys_assets.settings import CHECKOUT

GOLDEN = Path(__file__).parents[1] / "golden"
TEMPLATES = CHECKOUT / "templates" / "email"
SENDER = Sender("Corner Shop", "https://shop.example/", "https://shop.example/opt-out?m=1&k=2")
ORDER = Order.parse(
    {
        "order_id": "A-1001",
        "currency": "EUR",
        "customer_name": "Ada",
        "lines": [
            {"product_id": "tea", "name": "Black tea, 250 g", "quantity": 2, "unit_price": 4.5, "list_price": "5.00"},
            {"product_id": "mug-red", "parent_id": "mug", "name": "Mug, red", "quantity": 1, "unit_price": 1290},
        ],
    }
)
OFFERS = [
    Offer("tea", "Black tea, 250 g", 4_500_000, "EUR"),  # is in the order
    Offer("mug-blue", "Mug, blue", 12_900_000, "EUR", parent_id="mug"),  # another colour of what is
    Offer("pot", "Teapot, stoneware, 1.2 litres", 34_000_000, "EUR", 40_000_000, None, "https://shop.example/p/pot",
          reason="Similar to 3 items in your purchase history", reason_code="similar_owned"),
    Offer("nameless", None, 1_000_000, "EUR"),
    Offer("honey", "Forest honey", 7_680_000, "EUR", 8_000_000, reason="You bought this 4 times, last in May",
          reason_code="bought_before"),  # 4 % off is not worth a word
    Offer("free", "Sample", 0, "EUR"),
    Offer("milk", "Oat milk", 2_190_000, "EUR", reason="Bought by 123 customers in the last 30 days",
          reason_code="popular"),
    Offer("cup", "Espresso cups, set of four", 24_900_000, "EUR", url="javascript:alert(1)",
          image_url="data:text/html,x", reason_code="taste", reason="Picked from what people with your taste buy"),
    Offer("fifth", "One too many", 1_000_000, "EUR"),
]  # fmt: skip


def golden(name: str, mail: Mail) -> None:
    """Compares with the golden files; ``UPDATE_GOLDEN=1`` writes them, to be looked at before they are kept."""
    for suffix, text in (("html", mail.html), ("txt", mail.text)):
        path = GOLDEN / f"{name}.{suffix}"
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text(), path.name


def test_an_order_with_four_offers() -> None:
    mail = render(ORDER, OFFERS, SENDER, TEMPLATES)
    golden("order_confirmation_offers", mail)
    assert mail.subject == "Your order A-1001 at Corner Shop"
    assert "€1,299.00" in mail.text  # 2 × 4.50 + 1,290
    assert "15 % off" in mail.html  # (40 - 34) / 40
    assert mail.html.count("% off") == 1
    assert "javascript:" not in mail.html + mail.text
    assert "data:text" not in mail.html
    assert 'href="https://shop.example/opt-out?m=1&amp;k=2"' in mail.html
    assert "fonts.googleapis" not in mail.html


def test_an_order_without_offers_is_whole() -> None:
    mail = render(ORDER, [], Sender("Corner Shop"), TEMPLATES)
    golden("order_confirmation_plain", mail)
    assert "may also like" not in mail.html
    assert "Stop personal" not in mail.html + mail.text


def test_hostile_names_stay_text() -> None:
    name = "<script>alert('x')</script> & \"</mj-text>\n{{ 7 * 7 }}"
    order = Order.parse(
        {
            "order_id": "<b>1</b>",
            "currency": "USD",
            "customer_name": name,
            "lines": [{"product_id": "a", "name": name, "quantity": 1, "unit_price": "1"}],
        }
    )
    picture = 'https://shop.example/"onload="x.png'
    offer = Offer("b", name, 1_000_000, "USD", image_url=picture, url="https://shop.example/?a=1&b='<i>")
    mail = render(order, [offer], Sender("A & <i>B"), TEMPLATES)
    golden("order_confirmation_hostile", mail)
    assert "<script" not in mail.html
    assert 'onload="x' not in mail.html
    assert "&lt;script&gt;" in mail.html
    assert "<script>alert('x')</script> & \"</mj-text> {{ 7 * 7 }}" in mail.text
    assert "\n" not in mail.subject


def test_the_orders_products_and_their_variants_are_not_offered() -> None:
    assert [offer.product_id for offer in fitting(ORDER, OFFERS)] == ["pot", "honey", "milk", "cup"]


def test_parents_that_the_catalogue_knows_exclude_variants_too() -> None:
    order = ORDER.with_parents({"tea": "teas"})
    assert [line.parent_id for line in order.lines] == ["teas", "mug"]
    assert fitting(order, [Offer("green", "Green tea", 1, "EUR", parent_id="teas")]) == []
    assert fitting(order, [Offer("mug", "Mug", 1, "EUR")]) == []


def test_of_two_variants_one_is_offered() -> None:
    two = [Offer(name, name, 1, "EUR", parent_id="p") for name in ("x", "y")]
    assert fitting(ORDER, two) == two[:1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"order_id": ""}, "order_id"),
        ({"currency": "euro"}, "currency"),
        ({"lines": []}, "lines"),
        ({"lines": [{"product_id": "a", "name": "A", "quantity": 0, "unit_price": 1}]}, "lines.0.quantity"),
        ({"lines": [{"product_id": "a", "name": "A", "quantity": 1, "unit_price": "NaN"}]}, "lines.0.unit_price"),
        ({"lines": [{"product_id": "a", "name": "A", "quantity": 1}]}, "lines.0.unit_price"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_order_names_the_field(change: dict[str, object], named: str) -> None:
    with pytest.raises(SourceError, match=rf"\n  {named}: "):
        Order.parse(ORDER.model_dump() | change)


@settings(max_examples=25, deadline=None)
@given(name=st.text(min_size=1).filter(lambda text: text.strip().isprintable() and bool(text.strip())))
def test_any_name_renders_and_adds_no_element(name: str) -> None:
    def order(text: str) -> Order:
        return Order.parse(ORDER.model_dump() | {"customer_name": text})

    plain, odd = (render(order(text), [], SENDER, TEMPLATES).html for text in ("Ada", name))
    assert odd.count("<") == plain.count("<")


@given(st.lists(st.builds(Offer, st.sampled_from("abcdef"), st.just("x"), st.integers(0, 2), st.just("EUR"))))
def test_offers_are_few_and_distinct(offers: list[Offer]) -> None:
    ids = [offer.product_id for offer in fitting(ORDER, offers)]
    assert len(ids) == len(set(ids)) <= MAX_OFFERS
