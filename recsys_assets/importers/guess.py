"""A file's columns and some of its values → the text of a mapping file that might fit. A guess, and it says so."""

import json
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import FIELDS, Kind
from recsys_assets.importers.guess_numbers import numbers_of
from recsys_assets.importers.placeholders import GUESTS
from recsys_assets.importers.times import Time
from recsys_assets.logic.landing import as_time
from recsys_assets.tables import EVENT_TYPES


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ID = _set("id no nr num number key code ref uuid guid")
_MOMENT = "date time timestamp ts datetime dt dat when created occurred day datum zeit"
# A column is a field where one of its words is among the first and every other one among the second.
_WORDS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = tuple(
    (field, _set(one), _set(other) | more)
    for field, one, other, more in (
        ("session_id", "session visit", "user", _ID),
        ("anon_id", "visitor cookie device anon anonymous guest pseudo", "user", _ID),
        ("user_id", "user customer cust client member buyer shopper household account kunde kunden", "", _ID),
        ("product_id", "product prod item sku article art stock asin artikel goods", "", _ID),
        ("order_id", "order invoice basket transaction receipt bon rechnung", "", _ID),
        (
            "event_time",
            _MOMENT,
            "at on t event order invoice purchase transaction utc local gmt bestell",
            frozenset(),
        ),
        # Before event_id: a column called `event` says what happened.
        ("event_type", "event action behavior behaviour activity type", "name kind", frozenset()),
        ("event_id", "event", "", _ID),
        ("quantity", "quantity qty units menge count pieces anzahl", "ordered sold order item", frozenset()),
        ("list_price", "list rrp msrp original regular", "price preis", frozenset()),
        ("unit_price", "price amount paid cost preis", "unit sale sales net gross item", frozenset()),
        ("currency", "currency curr waehrung", "", _ID),
        ("query", "query searchterm search", "term text", frozenset()),
        ("category", "category kategorie department", "name path product item", frozenset()),
        ("brand", "brand manufacturer marke hersteller", "name", frozenset()),
        ("name", "name title description bezeichnung", "product item artikel", frozenset()),
    )
)
_TOTAL = _set("total sum revenue value turnover umsatz")
_TYPES = {
    "view": "view_item pv pageview page_view detail details product_view product_detail_view visit viewed browse",
    "add_to_cart": "cart addtocart add-to-cart basket add_cart add_to_basket atc",
    "purchase": "buy bought order transaction sale checkout purchased paid kauf",
    "remove_from_cart": "removefromcart remove_cart remove-from-cart",
    "wishlist_add": "fav favorite favourite wishlist wish add_to_wishlist",
    "return": "refund returned cancellation retoure",
    "click": "clicked product_click select_item",
}
_TYPE_OF = {word: kind for kind, words in _TYPES.items() for word in words.split()}
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", " %H")
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y-%m-%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
_NUMBERS = {
    r"\d{9,10}(\.\d+)?": "epoch_seconds",
    r"\d{12,13}(\.0)?": "epoch_milliseconds",
    r"\d{15,16}(\.0)?": "epoch_microseconds",
    r"\d{18,19}": "epoch_nanoseconds",
    r"[2-6]\d{4}(\.\d+)?": "excel",
}
_PEOPLE = ("user_id", "anon_id")
_NAMES_PERSON = _set("email mail login phone username")
_PRICED = _set("price preis paid")
_STATES = _set("status state financial_status order_status payment_status")
_UNDONE = _set("cancelled canceled refunded voided failed declined trash storniert")


@dataclass(frozen=True)
class Look:
    """What a glance at a file shows: names of columns, some rows where they can be had, how it is written.

    ``plain`` says whether a reader without a mapping file finds the delimiter, as a comma, or named by the file.
    """

    columns: tuple[str, ...]
    sample: pl.DataFrame | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    plain: bool = True


def words_of(name: str) -> tuple[str, ...]:
    """Words of a column's name.

    >>> words_of("CustomerID"), words_of("order_date"), words_of("Customer ID")
    (('customer', 'id'), ('order', 'date'), ('customer', 'id'))
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-zäöüß]+|\d+", name)
    glued = {"userid": "user id", "visitorid": "visitor id", "itemid": "item id", "productid": "product id",
             "customerid": "customer id", "sessionid": "session id", "orderid": "order id", "transactionid":
             "transaction id", "eventtime": "event time", "unitprice": "unit price"}  # fmt: skip
    return tuple(word for part in parts for word in glued.get(part.lower(), part.lower()).split())


def field_of(name: str) -> str | None:
    """The field that a column of this name seems to be.

    >>> field_of("CustomerID"), field_of("sku"), field_of("InvoiceDate"), field_of("customer_email")
    ('user_id', 'product_id', 'event_time', None)
    >>> field_of("event"), field_of("event_id")
    ('event_type', 'event_id')
    """
    for part in dict.fromkeys((name, name.rpartition(".")[2])):  # the whole, else the end of a path
        words = frozenset(words_of(part))
        found = next((field for field, one, other in _WORDS if words & one and words <= one | other), None)
        if found:
            return found
    return None


def columns_of(names: tuple[str, ...], kind: Kind) -> dict[str, str]:
    """Field → column, of every field that some column seems to be; the first such column counts.

    >>> columns_of(("AMOUNT", "SALES_PRICE"), "events")
    {'quantity': 'AMOUNT', 'unit_price': 'SALES_PRICE'}
    """
    known = {field.name for field in FIELDS[kind]}
    made = {name: name for name in names if name in known}
    prices = sorted((name for name in names if field_of(name) == "unit_price"), key=_worth)
    for name in (*prices[:1], *(name for name in names if name not in prices)):
        field = field_of(name)
        field = "updated_at" if kind == "catalog" and field == "event_time" else field
        if name not in known and field in known:
            made.setdefault(str(field), name)
    amount = next((name for name in prices[1:] if words_of(name) == ("amount",)), None)
    if amount and kind == "events" and made.get("unit_price") != amount:
        made.setdefault("quantity", amount)
    return dict(sorted(made.items(), key=lambda pair: names.index(pair[1])))


def _worth(name: str) -> bool:
    """Whether a column of money is likely something else than a price; a key to sort by."""
    return not _PRICED & set(words_of(name))


def propose(look: Look, zone: str = "UTC") -> str | None:
    """Text of a mapping file, or None where the columns look like neither events nor a catalogue.

    What names a person is never a catalogue. ``zone`` is that of times without offset.
    """
    if look.sample is None or not look.sample.width:
        return None
    columns = columns_of(look.columns, "events")
    known = {"event_time", "product_id"} <= columns.keys()
    doubt = ""
    if not columns.keys() & set(_PEOPLE):
        named = [name for name in look.columns if set(words_of(name)) & _NAMES_PERSON]
        if named:
            columns, doubt = columns | {"user_id": named[0]}, "  # names a person; only a key of it is kept"
        elif "order_id" in columns:
            columns = columns | {"anon_id": columns["order_id"]}
            doubt = "  # no column tells who: every order is a person of its own"
    if columns.keys() & {*_PEOPLE, "session_id"}:
        whole = known and bool(columns.keys() & set(_PEOPLE))
        return _toml("events", columns, look, look.sample, zone, doubt) if whole else None
    columns = columns_of(look.columns, "catalog")
    if "product_id" in columns and columns.keys() & {"name", "category", "brand", "unit_price"}:
        return _toml("catalog", columns, look, look.sample, zone)
    return None


def _toml(kind: Kind, columns: dict[str, str], look: Look, sample: pl.DataFrame, zone: str, doubt: str = "") -> str:
    lines = ["# A guess from the names of the columns and the first rows. Check every line.", f'kind = "{kind}"', ""]
    total = next((n for n in look.columns if frozenset(words_of(n)) & _TOTAL and n not in columns.values()), None)
    priced = "unit_price" not in columns and "quantity" in columns and total
    lines.append("[columns]  # field = the file's column")
    said = dict.fromkeys(list(columns)[-1:], doubt)
    lines += [f"{field} = {_quoted(column)}{said.get(field, '')}" for field, column in columns.items()]
    if kind == "events":
        lines += _guests(columns, sample)
        lines += _types(columns, sample)
    time = columns.get("event_time", columns.get("updated_at"))
    if time is not None:
        lines += ["", "[time]", *_time(sample[time], zone)]
    money = [columns.get("unit_price"), columns.get("list_price"), total if priced else None]
    lines += numbers_of([text for name in money if name for text in _texts(sample[name])])
    if (look.delimiter, look.encoding) != (",", "utf-8"):
        lines += ["", "[csv]", f"delimiter = {_quoted(look.delimiter)}", f"encoding = {_quoted(look.encoding)}"]
    if priced:
        lines += ["", "[price]  # the price of a whole line, which is divided by quantity", f"total = {_quoted(total)}"]
    units = columns.get("quantity")
    if kind == "events" and units and sample[units].cast(pl.String).str.starts_with("-").any():
        lines += ["", "[returns]", "negative_quantity = true"]
    if kind == "events":
        lines += _undone(look.columns, sample)
    return "\n".join(lines) + "\n"


def _texts(series: pl.Series) -> list[str]:
    return series.drop_nulls().str.strip_chars().to_list() if series.dtype == pl.String else []


def _guests(columns: dict[str, str], sample: pl.DataFrame) -> list[str]:
    user, order = columns.get("user_id"), columns.get("order_id")
    if user is None or order is None or "anon_id" in columns:
        return []
    nobody = sample[user].cast(pl.String).is_null() | sample[user].cast(pl.String).is_in(list(GUESTS))
    return [f"anon_id = {_quoted(order)}  # of guests, who have no id of their own"] if nobody.any() else []


def _undone(names: tuple[str, ...], sample: pl.DataFrame) -> list[str]:
    lines = list[str]()
    for name in names:
        if name.strip().lower().replace(" ", "_") in _STATES:
            words = [word for word in sample[name].cast(pl.String).unique().drop_nulls() if word.lower() in _UNDONE]
            if words:
                lines += [f"{_quoted(name)} = [{', '.join(_quoted(word) for word in sorted(words))}]"]
    return ["", "[where.drop]  # orders that did not come about", *lines] if lines else []


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _types(columns: dict[str, str], sample: pl.DataFrame) -> list[str]:
    if "event_type" not in columns:
        sold = columns.keys() & {"quantity", "unit_price", "order_id"}
        return ["", "[constants]  # no column tells what happened", f'event_type = "{"purchase" if sold else "view"}"']
    words = sample[columns["event_type"]].cast(pl.String).drop_nulls().unique(maintain_order=True).to_list()
    known = {word: _TYPE_OF[word.lower()] for word in words if word not in EVENT_TYPES and word.lower() in _TYPE_OF}
    # Other words are not repeated: if the column was guessed wrong, they may be anything, people's names too.
    lines = [
        "",
        "[event_types]  # the file's word = event type",
        *(f"{_quoted(a)} = {_quoted(b)}" for a, b in known.items()),
    ]
    return lines if known else []


def _time(series: pl.Series, local: str) -> list[str]:
    zone = f"zone = {_quoted(local)}  # of times without offset"
    if series.dtype.is_temporal():
        return [zone]
    text = series.cast(pl.String).drop_nulls().str.strip_chars()
    for pattern, form in _NUMBERS.items():
        if len(text) and text.str.contains(f"^{pattern}$").all():
            return [f'format = "{form}"', *([zone] if form == "excel" else [])]
    if as_time(text).null_count() == 0:
        return ['format = "iso"', zone]
    days = sorted((*_DAYS, "%Y%m%d"), key=lambda day: local.startswith("America/") and not day.startswith("%m"))
    forms = [day + clock for day in days for clock in _CLOCKS]
    fitting = [form for form in forms if Time(format=form).read(text, ZoneInfo("UTC")).null_count() == 0]
    if not fitting:
        return ['format = "%Y-%m-%d %H:%M:%S"  # not known: write how the times are written', zone]
    doubt = "  # every row that was looked at also fits " + " and ".join(fitting[1:]) if fitting[1:] else ""
    return [f'format = "{fitting[0]}"{doubt}', zone]
