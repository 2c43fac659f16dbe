"""An order and a few offers → an e-mail, as HTML and as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Self

import jinja2
import mrml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from recsys_assets.errors import SourceError
from recsys_assets.identity import id_problem
from recsys_assets.logic.blending import few_variants
from recsys_assets.logic.copywriting import block_copy, discount_percent, micros_to_amount, money
from recsys_assets.logic.safe_text import one_line, web_link

MAX_OFFERS = 4


def _one_line(text: object) -> object:
    return one_line(text) if isinstance(text, str) else text


def _valid_id(raw: str) -> str:
    """The id, under the rule of every id: Postgres is asked for it, and takes no NUL."""
    if why := id_problem(raw):
        raise ValueError(f"the id {why}")
    return raw


_Text = Annotated[str, BeforeValidator(_one_line), Field(min_length=1, max_length=500)]
_Id = Annotated[str, AfterValidator(_valid_id)]
_Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]
_Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class OrderLine(BaseModel):
    """One product of an order. ``unit_price`` is the price paid; ``list_price`` the one before discounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    product_id: _Id
    name: _Text
    quantity: int = Field(ge=1, le=1_000_000)
    unit_price: _Amount
    list_price: _Amount | None = None
    parent_id: _Id | None = None


class Order(BaseModel):
    """What was bought. ``customer_name`` is greeted and never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    order_id: Annotated[str, BeforeValidator(_one_line), Field(min_length=1, max_length=128)]
    currency: _Currency
    lines: tuple[OrderLine, ...] = Field(min_length=1, max_length=1000)
    customer_name: _Text | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """An order from parsed JSON.

        Raises:
            SourceError: naming every field that is wrong; values are left out, they may be personal.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            wrong = (f"{'.'.join(map(str, item['loc'])) or 'order'}: {item['msg']}" for item in error.errors())
            raise SourceError("the order is refused:\n  " + "\n  ".join(wrong)) from None

    def with_parents(self, parents: Mapping[str, str | None]) -> Self:
        """The order with the parent of each product where the catalogue knows it and the order does not say."""
        lines = tuple(
            line.model_copy(update={"parent_id": line.parent_id or parents.get(line.product_id)}) for line in self.lines
        )
        return self.model_copy(update={"lines": lines})


@dataclass(frozen=True)
class Offer:
    """One recommended product: catalogue facts, and the reason it is on the list."""

    product_id: str
    name: str | None
    unit_price_micros: int | None
    currency: str
    list_price_micros: int | None = None
    image_url: str | None = None
    url: str | None = None
    parent_id: str | None = None
    reason: str | None = None
    reason_code: str | None = None


@dataclass(frozen=True)
class Sender:
    """The shop that writes. Without ``opt_out_url`` there is no opt-out link."""

    name: str
    url: str | None = None
    opt_out_url: str | None = None


@dataclass(frozen=True)
class Mail:
    """A rendered e-mail."""

    subject: str
    html: str
    text: str


def render(
    order: Order, recommendations: Sequence[Offer], sender: Sender, templates: Path, variants_at_most: int = 1
) -> Mail:
    """The order confirmation, with the first `MAX_OFFERS` offers that fit; valid without any.

    Left out are the order's own products, variants beyond the knob (those of the order count), and offers without a
    name or a price. Every fact in the mail comes from the arguments.

    Args:
        order: what was bought.
        recommendations: the person's list, best first.
        sender: the shop.
        templates: the folder with ``order_confirmation.mjml.j2`` and ``.txt.j2``.
        variants_at_most: knob.
    """
    facts = variables(order, recommendations, sender, variants_at_most)
    # Two environments: in plain text "&amp;" would be shown as it stands.
    markup, plain = (environment(templates, escape=escape) for escape in (True, False))
    mjml = markup.get_template("order_confirmation.mjml.j2").render(facts)
    return Mail(
        subject=f"Your order {order.order_id} at {sender.name}",
        html=mrml.to_html(mjml).content,
        text=plain.get_template("order_confirmation.txt.j2").render(facts),
    )


def environment(templates: Path, *, escape: bool) -> jinja2.Environment:
    """Jinja as e-mails are rendered with: a variable that does not exist is an error, not an empty text."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=escape,  # noqa: S701  off for plain text, where nothing is markup
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def variables(
    order: Order, recommendations: Sequence[Offer], sender: Sender, variants_at_most: int = 1
) -> dict[str, Any]:
    """What a template may use. The table in pages/email.md says each one; a test compares."""
    offers = fitting(order, recommendations, variants_at_most)
    copy = block_copy([offer.reason_code for offer in offers], sender.name) if offers else None
    return {
        "order_id": order.order_id,
        "customer_name": order.customer_name,
        "lines": [_line_facts(line, order.currency) for line in order.lines],
        "total": money(sum((line.unit_price * line.quantity for line in order.lines), Decimal()), order.currency),
        "offers": [_offer_facts(offer) for offer in offers],
        "copy": {"headline": copy.headline, "sub_line": copy.sub_line} if copy else None,
        "shop": {"name": sender.name, "url": web_link(sender.url), "opt_out_url": web_link(sender.opt_out_url)},
    }


def fitting(order: Order, recommendations: Sequence[Offer], at_most: int = 1) -> list[Offer]:
    """At most `MAX_OFFERS` offers that are not in the order; ``at_most`` variants of a product, the order's counted."""
    there = {line.product_id for line in order.lines}
    named = [offer for offer in recommendations if offer.name and offer.unit_price_micros]
    others = [(offer, offer.parent_id or offer.product_id) for offer in named if offer.product_id not in there]
    families = [line.parent_id or line.product_id for line in order.lines]
    return list(islice(few_variants(others, families, at_most), MAX_OFFERS))


def _line_facts(line: OrderLine, currency: str) -> dict[str, Any]:
    discounted = line.list_price is not None and line.list_price > line.unit_price
    return {
        "name": line.name,
        "quantity": line.quantity,
        "unit": money(line.unit_price, currency),
        "total": money(line.unit_price * line.quantity, currency),
        "list_total": money(line.list_price * line.quantity, currency) if discounted and line.list_price else None,
    }


def _offer_facts(offer: Offer) -> dict[str, Any]:
    assert offer.unit_price_micros
    percent = discount_percent(offer.unit_price_micros, offer.list_price_micros)
    list_price = offer.list_price_micros if percent else None
    return {
        "name": one_line(offer.name),
        "reason": one_line(offer.reason),
        "price": money(micros_to_amount(offer.unit_price_micros), offer.currency),
        "list_price": money(micros_to_amount(list_price), offer.currency) if list_price else None,
        "discount": f"{percent} % off" if percent else None,
        "url": web_link(offer.url),
        "image_url": web_link(offer.image_url),
    }
