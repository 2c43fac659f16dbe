"""The schemas and the page are what the fields say, and the examples keep to them."""

import json
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped] # no types are installed for it
import pytest

from recsys_assets import contract
from recsys_assets.contract import Kind
from recsys_assets.importers import mapped
from recsys_assets.tables import CLEAN_EVENTS, EVENT_TYPES, LANDING_CATALOG, LANDING_RATES, LANDING_USERS
from recsys_assets.tuning import EventWeights

KINDS: tuple[Kind, ...] = get_args(Kind)
EVENT = {"event_type": "view", "event_time": "2024-05-01T09:30:00Z", "user_id": "u", "product_id": "p"}


def test_committed_documents_are_what_the_fields_say() -> None:
    made = contract.documents(mapped.__doc__ or "")
    committed = {path.name: path.read_text(encoding="utf-8") for path in contract.CONTRACT_FILES.iterdir()}
    assert committed == made, "run `recsys contract --write`"


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_valid_and_so_are_their_examples(kind: Kind) -> None:
    schema = contract.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        jsonschema.validate(example, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "bought"},
        {"event_time": None},
        {"user_id": None},
        {"user_id": ""},
        {"user_id": "x" * 129},
        {"product_id": None},
        {"unit_price": "2.49"},
        {"unit_price": -1},
        {"rating": 6},
        {"quantity": 1.5},
    ],
)
def test_schema_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(EVENT | change, contract.schema("events"), cls=jsonschema.Draft202012Validator)


def test_every_field_has_a_column() -> None:
    columns = {
        "events": set(CLEAN_EVENTS.columns) | {"user_id", "anon_id"},
        "catalog": set(LANDING_CATALOG.columns),
        "rates": set(LANDING_RATES.columns) | {"date"},
        "users": set(LANDING_USERS.columns) | {"user_id"},
    }
    for kind in KINDS:
        for field in contract.FIELDS[kind]:
            assert {field.name, f"{field.name}_micros"} & columns[kind], field.name


def test_page_names_every_field_type_reason_and_weight() -> None:
    page = contract.page("")
    fields = [field.name for kind in KINDS for field in contract.FIELDS[kind]]
    for name in [*fields, *contract.REASONS, *contract.FLAGS, *EVENT_TYPES]:
        assert f"| `{name}` |" in page
    assert "| `purchase` | 5 |" in page
    assert set(EventWeights().model_dump()) <= set(EVENT_TYPES)


def test_every_reason_is_explained() -> None:
    assert tuple(contract.EXPLAINED) == contract.REASONS


def test_examples_are_json() -> None:
    assert json.loads(contract.schema_text("events"))["examples"] == contract.examples("events")
