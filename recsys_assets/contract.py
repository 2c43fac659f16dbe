"""What a shop sends, field by field: events, products, rates, users. The one source of schemas, page and importers.

``recsys contract`` prints what is made from it; the same documents stand in ``contract_files/`` and a test compares.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from recsys_assets.tables import EVENT_TYPES
from recsys_assets.tuning import EventWeights

Kind = Literal["events", "catalog", "rates", "users"]
FieldType = Literal[
    "id", "text", "event_type", "time", "day", "money", "rate", "currency", "integer", "number", "boolean", "list",
    "object",
]  # fmt: skip

MAX_AMOUNT = 1_000_000_000  # of a price, and of price × quantity: nine thousand such rows still sum in 64 bits
MAX_QUANTITY = 1_000_000
MAX_LINE_BYTES = 1_000_000
MAX_TEXT = 100_000  # characters of any one text
MAX_RATE = 1_000_000_000_000  # and its inverse is the least
RATE_DIGITS = 30


@dataclass(frozen=True)
class Field:
    """One field as a shop sends it. ``low`` and ``high`` are inclusive bounds of a number."""

    name: str
    type: FieldType
    what: str
    example: Any
    required: bool = False
    low: float | None = None
    high: float | None = None


EVENT_FIELDS = (
    Field("event_id", "id", "Its own id; without one, the row's content and its count in the file.", "e-1001"),
    Field("event_type", "event_type", "What happened; see the types below.", "purchase", required=True),
    Field("event_time", "time", "When, ISO 8601; a time without offset is UTC.", "2024-05-01T09:30:00Z", required=True),
    Field("user_id", "id", "A known person. This or anon_id is needed.", "u-7"),
    Field("anon_id", "id", "A cookie or device.", "c-93af"),
    Field("session_id", "id", "The shop's own id of the visit.", "s-55"),
    Field("product_id", "id", "The product; needed except for `search`.", "p-12"),
    Field(
        "quantity",
        "integer",
        "Units, 1 where missing; a return's are negative (a positive number is turned).",
        2,
        low=-MAX_QUANTITY,
        high=MAX_QUANTITY,
    ),
    Field("unit_price", "money", "Paid per unit, after discounts.", 2.49, low=0, high=MAX_AMOUNT),
    Field("list_price", "money", "Per unit before discounts.", 2.99, low=0, high=MAX_AMOUNT),
    Field("currency", "currency", "Of the prices; the shop's base currency where missing.", "EUR"),
    Field("order_id", "id", "The order or basket; a return names the order it belongs to.", "o-31"),
    Field("query", "text", "Text searched for; kept only if enough people searched it.", "rye bread"),
    Field("results", "integer", "How many products the search found.", 14, low=0, high=2**53),
    Field("recommendation_id", "text", "The recommendation that was shown or followed.", "r-8"),
    Field("position", "integer", "Its place in the list, from 1.", 3, low=0, high=2**53),
    Field("context", "text", "Where: product-page, homepage, cart, or free text.", "homepage"),
    Field("dwell_seconds", "number", "Seconds spent.", 12.5, low=0, high=2**53),
    Field("rating", "number", "Of a review, 1 to 5.", 4, low=1, high=5),
    Field("device", "text", "Kind of device.", "mobile"),
    Field("referrer", "text", "Where the visit came from; its query string is cut.", "https://example.org/list"),
)

PRODUCT_FIELDS = (
    Field("product_id", "id", "The product, as events name it.", "p-12", required=True),
    Field("parent_id", "id", "What variants have in common.", "p-10"),
    Field("name", "text", "As people read it.", "Rye bread 500 g"),
    Field("description", "text", "Free text.", "Whole grain, baked daily."),
    Field("category", "text", "A path, broad to narrow.", "Grocery > Bread > Rye"),
    Field("brand", "text", "", "Mill & Co"),
    Field("unit_price", "money", "What one unit costs now.", 2.49, low=0, high=MAX_AMOUNT),
    Field("list_price", "money", "Before discounts.", 2.99, low=0, high=MAX_AMOUNT),
    Field("currency", "currency", "Of the prices; the shop's base currency where missing.", "EUR"),
    Field("image_url", "text", "", "https://example.org/p-12.jpg"),
    Field("url", "text", "The product's page.", "https://example.org/p-12"),
    Field("tags", "list", "Words; in CSV a JSON list, or words between `|`.", ["vegan", "fresh"]),
    Field("rating", "number", "Average, 0 to 5.", 4.4, low=0, high=5),
    Field("in_stock", "boolean", "Whether it can be bought.", True),
    Field("stock_level", "integer", "Units in stock.", 40, low=-(2**53), high=2**53),
    Field("shipping_days", "integer", "Days until it arrives.", 2, low=0, high=2**53),
    Field("attributes", "object", "Anything else; in CSV a JSON object.", {"grain": "rye"}),
    Field(
        "updated_at",
        "time",
        "From when the row holds. Without it: the date in the file's path; else, for the first catalogue, the home's "
        "first day, and for later ones the day of delivery.",
        "2024-05-01T00:00:00Z",
    ),
)

RATE_FIELDS = (
    Field(
        "date", "day", "The day from which the rate holds, until the currency's next one.", "2024-05-01", required=True
    ),
    Field("currency", "currency", "The currency that is converted.", "USD", required=True),
    Field("rate", "rate", "What one unit of `currency` is worth in the home's base currency.", 0.9321, required=True),
)

USER_FIELDS = (
    Field("user_id", "id", "The person, as events name them.", "u-7", required=True),
    Field("locale", "text", "Language and region of what they read.", "de-DE"),
    Field("market", "text", "The shop's own word for where they buy.", "DE"),
    Field("consent", "boolean", "false: no personal list, and none of older days either. Missing: as last told.", True),
    Field("transactional_only", "boolean", "true: no marketing mail. Missing: as last told.", False),
    Field(
        "attributes",
        "object",
        "Anything else that describes a group, no person; in CSV a JSON object.",
        {"age_group": "25-34", "region": "North"},
    ),
    Field(
        "updated_at",
        "time",
        "From when the row holds. Without it: the date in the file's path; else, for the first users file, the home's "
        "first day, and for later ones the day of delivery.",
        "2024-05-01T00:00:00Z",
    ),
)
# Never kept, wherever in `attributes` they stand: letters of the key alone, in lower case.
PERSONAL = (
    "name", "firstname", "lastname", "middlename", "fullname", "surname", "givenname", "familyname", "mail", "email",
    "emailaddress", "phone", "phonenumber", "telephone", "mobile", "fax", "address", "postaladdress", "street",
    "streetaddress", "housenumber", "postcode", "postalcode", "zip", "zipcode", "iban", "passport", "ip", "ipaddress",
)  # fmt: skip

FIELDS: dict[Kind, tuple[Field, ...]] = {
    "events": EVENT_FIELDS,
    "catalog": PRODUCT_FIELDS,
    "rates": RATE_FIELDS,
    "users": USER_FIELDS,
}
_ONE_ROW: dict[Kind, tuple[str, str]] = {
    "events": ("Event", "One row of a file of events."),
    "catalog": ("Product", "One row of a catalogue."),
    "rates": ("Rate", "One row of a file of exchange rates."),
    "users": ("User", "One row of a file of users."),
}

Reason = Literal[
    "line_too_long", "not_utf8", "json_malformed", "csv_malformed", "wrong_type",
    "event_time_missing", "event_time_unreadable", "event_time_before_first_day", "event_time_in_future",
    "updated_at_unreadable", "updated_at_in_future",
    "event_id_invalid", "person_id_invalid", "product_id_invalid", "other_id_invalid", "text_invalid",
    "quantity_unreadable", "price_not_finite", "price_unreadable", "currency_unknown", "number_unreadable",
    "value_malformed", "not_a_product", "date_unreadable", "rate_unreadable", "rate_of_base",
    "event_type_unknown", "person_missing", "product_missing", "quantity_zero", "quantity_negative",
    "price_negative", "rating_out_of_range", "number_out_of_range", "currency_without_rate", "amount_too_large",
    "event_id_conflict",
]  # fmt: skip
REASONS: tuple[Reason, ...] = get_args(Reason)
EXPLAINED: dict[Reason, str] = {
    "line_too_long": f"The line is longer than {MAX_LINE_BYTES:,} bytes.",
    "not_utf8": "The line is not valid UTF-8 (or not of the encoding that the mapping names).",
    "json_malformed": "The line is not one JSON object.",
    "csv_malformed": "Wrong number of fields, a quote left open, or text after a closing quote.",
    "wrong_type": "A list or object where one value belongs, or a truth value where none does.",
    "event_time_missing": "No event_time.",
    "event_time_unreadable": "event_time is not ISO 8601 (or not as the mapping says).",
    "event_time_before_first_day": "event_time lies before the home's first day.",
    "event_time_in_future": "event_time lies more than a day after the import.",
    "updated_at_unreadable": "updated_at is not ISO 8601 (or not as the mapping says).",
    "updated_at_in_future": "updated_at lies more than a day after the import.",
    "event_id_invalid": "event_id is empty, holds NUL, or is longer than 128 bytes.",
    "person_id_invalid": "user_id or anon_id is empty, holds NUL, or is longer than 128 bytes.",
    "product_id_invalid": "product_id is empty, holds NUL, or is longer than 128 bytes.",
    "other_id_invalid": "session_id, order_id or parent_id is empty, holds NUL, or is longer than 128 bytes.",
    "text_invalid": f"A text has more than {MAX_TEXT:,} characters, or holds NUL.",
    "quantity_unreadable": f"quantity is not a whole number of at most {MAX_QUANTITY:,}.",
    "price_not_finite": "A price is NaN or infinite.",
    "price_unreadable": f"A price is not a decimal number of at most {MAX_AMOUNT:,}.",
    "currency_unknown": "The currency of a price is no code of three letters, such as EUR.",
    "number_unreadable": "Another number cannot be read, or is NaN or infinite.",
    "value_malformed": "A field for true or false holds something else, tags no list, or attributes no JSON object.",
    "not_a_product": "A line that sells or returns no product: postage, fees, vouchers, stock corrections.",
    "date_unreadable": "The date of a rate is missing, or not ISO 8601 (or not as the mapping says).",
    "rate_unreadable": f"A rate is missing, or no number above 0 (at most {MAX_RATE:,}, {RATE_DIGITS} decimals).",
    "rate_of_base": "A rate of the home's own currency that is not 1: the file counts in another currency.",
    "event_type_unknown": "event_type is missing or none of the types below.",
    "person_missing": "Neither user_id nor anon_id; in a users file, no user_id.",
    "product_missing": "No product_id (a `search` needs none).",
    "quantity_zero": "quantity is 0.",
    "quantity_negative": "quantity is negative and the event is no return.",
    "price_negative": "A price is negative.",
    "rating_out_of_range": "rating lies outside its bounds.",
    "number_out_of_range": "Another number lies outside its bounds.",
    "currency_without_rate": "No rate of the event's currency is known for its day or one before; it comes back once "
    "a rate has landed and the day is cleaned again.",
    "amount_too_large": f"A price, or price × quantity, exceeds {MAX_AMOUNT:,} in the base currency.",
    "event_id_conflict": "Another row of the day has this event_id and other content; one of them is kept.",
}

FLAGS = {
    "price_zero": "Bought at a price of 0.",
    "price_missing": "Bought or returned, without a price.",
    "return_turned": "A return with a positive quantity; it was turned negative.",
}

_TYPES_EXPLAINED: dict[str, str] = {
    "purchase": "a product was bought; one event per order line",
    "add_to_cart": "",
    "click": "a product was clicked",
    "search_click": "a product was clicked in search results",
    "view": "a product page was seen",
    "search": "`query`, `results`; needs no product",
    "impression": "a recommendation was shown",
    "remove_from_cart": "",
    "review": "`rating` 1 to 5",
    "wishlist_add": "",
    "return": "takes the purchase's weight back",
}


def _property(field: Field) -> dict[str, Any]:
    null = [] if field.required else ["null"]
    kinds: dict[FieldType, dict[str, Any]] = {
        "id": {"type": ["string", "integer", *null], "minLength": 1, "maxLength": 128},
        "text": {"type": ["string", *null], "maxLength": MAX_TEXT},
        "event_type": {"type": "string", "enum": list(EVENT_TYPES)},
        "time": {"type": ["string", *null], "format": "date-time"},
        "day": {"type": ["string", *null], "format": "date"},
        "rate": {"type": ["number", *null], "exclusiveMinimum": 0, "maximum": MAX_RATE},
        "currency": {"type": ["string", *null], "pattern": "^[A-Z]{3}$"},
        "money": {"type": ["number", *null]},
        "integer": {"type": ["integer", *null]},
        "number": {"type": ["number", *null]},
        "boolean": {"type": ["boolean", *null]},
        "list": {"type": ["array", *null], "items": {"type": "string"}},
        "object": {"type": ["object", *null]},
    }
    made: dict[str, Any] = {"description": field.what} if field.what else {}
    made |= kinds[field.type]
    if field.low is not None:
        made |= {"minimum": field.low, "maximum": field.high}
    return made | {"examples": [field.example]}


def example(kind: Kind) -> dict[str, Any]:
    """One full row."""
    return {field.name: field.example for field in FIELDS[kind]}


def examples(kind: Kind) -> list[dict[str, Any]]:
    """Rows that show the contract: a full one and the smallest ones."""
    if kind == "catalog":
        return [example(kind), {"product_id": "p-12"}]
    if kind == "rates":
        return [example(kind)]
    if kind == "users":
        return [example(kind), {"user_id": "u-7", "consent": False}]
    when = "2024-05-01T09:30:00Z"
    return [
        {k: v for k, v in example(kind).items() if k not in ("query", "results", "rating")},
        {"event_type": "view", "event_time": when, "anon_id": "c-93af", "product_id": "p-12"},
        {"event_type": "search", "event_time": when, "anon_id": "c-93af", "query": "rye bread", "results": 14},
        {"event_type": "review", "event_time": when, "user_id": "u-7", "product_id": "p-12", "rating": 4},
        {"event_type": "return", "event_time": when, "user_id": "u-7", "product_id": "p-12", "quantity": -1,
         "unit_price": 2.49, "order_id": "o-31"},
    ]  # fmt: skip


def schema(kind: Kind) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one row."""
    made: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _ONE_ROW[kind][0],
        "description": _ONE_ROW[kind][1],
        "type": "object",
        "properties": {field.name: _property(field) for field in FIELDS[kind]},
        "required": [field.name for field in FIELDS[kind] if field.required],
    }
    if kind == "events":
        names = ("user_id", "anon_id", "product_id")
        present = {name: {"properties": {name: {"not": {"type": "null"}}}, "required": [name]} for name in names}
        made["anyOf"] = [present["user_id"], present["anon_id"]]
        made["if"] = {"not": {"properties": {"event_type": {"const": "search"}}}}
        made["then"] = present["product_id"]
    return made | {"examples": examples(kind)}


def schema_text(kind: Kind) -> str:
    """The schema as its file holds it."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(cells).replace("\n", " ") + " |" for cells in (head, ("---",) * len(head), *rows)]


def _fields_table(kind: Kind) -> list[str]:
    def bounds(field: Field) -> str:
        return "" if field.low is None else f"{field.low:,g} … {field.high:,g}"

    return _table(
        ("field", "type", "needed", "bounds", "what", "example"),
        [
            (f"`{f.name}`", f.type, "yes" if f.required else "", bounds(f), f.what.replace("|", "\\|"),
             f"`{json.dumps(f.example)}`")
            for f in FIELDS[kind]
        ],
    )  # fmt: skip


def page(mapping_file: str) -> str:
    """CONTRACT.md: fields, event types and weights, rejection reasons, and the given words on the mapping file."""
    weights = EventWeights().model_dump()
    types = [(f"`{name}`", f"{weights.get(name, 0):g}", _TYPES_EXPLAINED[name]) for name in EVENT_TYPES]
    lines = [
        "# What a shop sends",
        "",
        "Made from `recsys_assets/contract.py` by `recsys contract page`; do not edit.",
        "",
        "Files are JSON Lines (`.jsonl`, `.ndjson`), CSV (`.csv`, a header line, comma) or Parquet (`.parquet`),",
        "plain or compressed by gzip or zstd, or workbooks (`.xlsx`), with the field names below as columns. Other",
        "columns are ignored and named in the report. An empty CSV cell, MySQL's `\\N` and a JSON `null` are a",
        "missing value. Ids are opaque: 1 to 128 bytes of UTF-8 without NUL; `undefined`, `null`, `nan` and the",
        "like are none, and 0 and -1 are nobody's. Files may overlap, repeat rows and come late. Within a day, rows",
        "of one event_id and one content are one event, wherever they stand.",
        "",
        "## Events",
        "",
        *_fields_table("events"),
        "",
        "## Event types and their default weights",
        "",
        *_table(("type", "weight", "what"), types),
        "",
        "Weights are knobs (`event_weights`). A return takes weight, units and spend of its purchase back: of the",
        "order that it names, else of the person's newest purchases of the product before it, earlier days first,",
        "over as many orders as its units need. So an exchange on one day leaves the new one. A return without a",
        "price takes back the price paid. A return is no visit.",
        "",
        "## Products",
        "",
        *_fields_table("catalog"),
        "",
        "The newest row of a product holds until its next one. Of rows of one day the later `updated_at` holds; an",
        "undated row that lands on its day is as late as its landing. Of one time the later delivery holds, and in one",
        "file the later line; so with users. The first catalogue may come in several undated files. A product that a",
        "later file leaves out stays as it was, because files may hold changes only: one that is no longer sold is",
        "told by `in_stock` = false.",
        "",
        "## Exchange rates",
        "",
        *_fields_table("rates"),
        "",
        "A rate is what one unit of the currency is worth in the home's base currency: with the base EUR, 0.9321 for",
        "USD means 1 USD = 0.9321 EUR. (Tables that say 1 EUR = 1.0728 USD are the other way round: send 1 ÷ 1.0728.)",
        "Events are converted when a day is cleaned, at the newest rate not after their day; products at the newest",
        "not after the day that is computed; both half to even to a millionth. An event without a rate is rejected as",
        "`currency_without_rate`; a product without one is known and not recommended. Of several rates of one day and",
        "currency, the one that landed last holds; within a file, the last line.",
        "",
        "## Users",
        "",
        *_fields_table("users"),
        "",
        "The file is optional, and may hold everybody or changes only. The newest row of a person holds, but for the",
        "two wishes, which hold until a later row tells otherwise: `consent` = false is lifted by a later `consent` =",
        "true and by nothing else. A no whose hour is not known is taken to be its day's last word. A file of which a",
        "yes or no cannot be read, or stands in a rejected row as a no, is refused as a whole. Names, addresses,",
        "e-mail addresses and phone numbers are not wanted: other columns",
        "than these are never kept, and keys of `attributes` with such names are dropped, at any depth, in any case",
        "and with any of `_- ` between their letters: " + ", ".join(PERSONAL) + ".",
        "",
        "## Why a row is rejected",
        "",
        "The first reason that holds, in this order. Nothing is lost: rows read = clean + rejected + duplicates.",
        "",
        *_table(("reason", "when"), [(f"`{name}`", EXPLAINED[name]) for name in REASONS]),
        "",
        "## What is kept and flagged",
        "",
        *_table(("flag", "when"), [(f"`{name}`", what) for name, what in FLAGS.items()]),
        "",
        "## Files with other columns",
        "",
        *mapping_file.strip().splitlines(),
    ]
    return "\n".join(lines) + "\n"


CONTRACT_FILES = Path(__file__).with_name("contract_files")


def documents(mapping_file: str) -> dict[str, str]:
    """File name → text of everything in ``contract_files/``."""
    return {
        "event.schema.json": schema_text("events"),
        "product.schema.json": schema_text("catalog"),
        "rate.schema.json": schema_text("rates"),
        "user.schema.json": schema_text("users"),
        "CONTRACT.md": page(mapping_file),
    }
