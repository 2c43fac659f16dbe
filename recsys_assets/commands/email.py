"""`recsys email render`: one e-mail of one person, as files to look at or to send."""

import json
import re
from pathlib import Path
from typing import Any

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, WholeHelps, print_json
from recsys_assets.commands.people import ANON, key_of
from recsys_assets.errors import SettingsError, SourceError
from recsys_assets.local.supervisor import Servers, servers
from recsys_assets.logic.emails import Offer, Order, Sender, render
from recsys_assets.logic.safe_text import web_link
from recsys_assets.scratch import write_out
from recsys_assets.settings import CHECKOUT, Home
from recsys_assets.stores.exported import note_mail
from recsys_assets.stores.postgres import Postgres, rows

LOOKED_AT = 50  # of a list: enough that four are left when the order's own products and variants are out


def write_order_confirmation(found: Servers, home: Home, key: str, order_file: Path, out: Path) -> list[Path]:
    """Renders the order confirmation of the person with ``key``; the HTML file and the text file.

    Somebody without a list, opted out or unknown, gets what is popular; before the first generation, no offers. What
    was sold out or repriced since (`recsys products`) is left out, or has its new price. Who wants no marketing mail
    (the users file's ``transactional_only``) gets none either: offers are advertising.

    Raises:
        SourceError: the order cannot be read; the message names the field.
        SettingsError: home.toml names an address that no e-mail can link.
        StoreError: Postgres does not answer.
    """
    order = _read_order(order_file)
    postgres = Postgres(found.postgres_url)
    there = postgres.refresh()
    with postgres.connect() as connection:
        plain = there and rows(connection, "read/transactional_only", {"mark": home.keys.mark(key)})[0]["exists"]
        offers = rows(connection, "read/offers", {"key": key, "limit": LOOKED_AT}) if there and not plain else []
        if there and not plain and not offers:
            offers = rows(connection, "read/popular_offers", {"key": key, "limit": LOOKED_AT})
        products = {"products": [line.product_id for line in order.lines]}
        parents = rows(connection, "read/parents", products) if there else []
    mail = render(
        order.with_parents({row["product_id"]: row["parent_id"] for row in parents}),
        [_offer(row, home.config.currency) for row in offers],
        _sender(home),
        CHECKOUT / "templates" / "email",
        home.config.tuning.variants_at_most,
    )
    out.mkdir(parents=True, exist_ok=True)
    stem = "order_confirmation-" + re.sub(r"[^A-Za-z0-9._-]", "_", order.order_id)
    written = [out / f"{stem}.html", out / f"{stem}.txt"]
    if out.absolute().is_relative_to(home.exports.absolute()):
        note_mail(written, home.keys.mark(key))  # an erasure finds the person's e-mails by it
    for path, text in zip(written, (mail.html, mail.text), strict=True):
        write_out(path, text)
    return written


def _sender(home: Home) -> Sender:
    config = home.config
    for name, url in (("shop_url", config.shop_url), ("opt_out_url", config.opt_out_url)):
        if url is not None and web_link(url) is None:
            raise SettingsError(
                f"{name} = {url!r} in {home.path / 'home.toml'} is no address of a web page, and the mail would go out "
                "without the link. Write it in full: https://shop.example/…"
            )
    return Sender(config.shop_name, config.shop_url, config.opt_out_url)


def _read_order(path: Path) -> Order:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a byte order mark before it
    except FileNotFoundError:
        raise SourceError(f"{path} is not there; --order takes a file with one order as JSON.") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not UTF-8.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from None
    except (ValueError, RecursionError):
        raise SourceError(f"{path}: not JSON of an order (brackets or a number without end).") from None
    return Order.parse(raw)


def _offer(row: dict[str, Any], currency: str) -> Offer:
    return Offer(
        product_id=row["product_id"],
        name=row["name"],
        unit_price_micros=row["price_micros"],
        list_price_micros=row["list_price_micros"],
        currency=currency,
        image_url=row["image_url"],
        url=row["url"],
        parent_id=row["parent_id"],
        reason=row["reason"],
        reason_code=row["reason_code"],
    )


@click.group(cls=WholeHelps)
def email() -> None:
    """E-mails from the templates of templates/email."""


@email.command("render")
@click.argument("kind", type=click.Choice(["order_confirmation"]))
@click.option("--user", required=True, help="Whose recommendations: an id, or key:HEX.")
@ANON
@click.option("--order", "order_file", required=True, type=click.Path(path_type=Path), help="The order, as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default: exports/mail of the home.")
@JSON
def render_command(*, kind: str, user: str, anon: bool, order_file: Path, out: Path | None, as_json: bool) -> None:
    """Write an e-mail as HTML and text, with the person's recommendations."""
    assert kind == "order_confirmation"
    settings, home = context()
    with servers(settings, home) as found:
        written = write_order_confirmation(found, home, key_of(user, anon), order_file, out or home.exports / "mail")
    if as_json:
        print_json({"files": written})
        return
    for path in written:
        print(path)


COMMANDS = (email,)
