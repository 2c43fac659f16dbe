"""What is odd and legal is taken, what is wrong is refused by name, on every route of the document.

The API runs as `recsys up` runs it, and after every test its log has to know nobody.
"""

import json
import socket
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from recsys_assets.local import up
from recsys_assets.local.processes import Child, wait_until
from recsys_assets.local.supervisor import platform_environment, servers
from recsys_assets.settings import init_home, load_settings
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.asked import PEOPLE, UNLIMITED, Operation, Service, filled, operations, settings
from recsys_assets_tests.serving.raw import Raw, request, send

NOBODY = "zq7x"  # stands in every id that is sent, and in no line of the log
ODD = (
    f"00{NOBODY}0070", f"{NOBODY} 🥖👩‍👩‍👧", f"{NOBODY}/../a//b/", f"{NOBODY}'\"`\\",
    f"{NOBODY}'; DROP TABLE lists; --", f"{NOBODY}\n\r\t", f"{NOBODY}%2F%00+&=#?;",
    f"{NOBODY}\u202e\ufeff\u0301\x1b[31m", f"{NOBODY}/preferences",
    f"{NOBODY}9007199254740993.0e5", NOBODY + "x" * 124, NOBODY + "é" * 62, "." + NOBODY, f"../{NOBODY}",
    f"key:{NOBODY}", f"{NOBODY}/similar",
)  # fmt: skip
ILLEGAL = {
    "empty": "", "129 bytes": quote(NOBODY + "x" * 125), "129 bytes of two each": quote(NOBODY + "é" * 62 + "x"),
    "NUL": NOBODY + "%00", "no UTF-8": NOBODY + "%ff", "half a pair": NOBODY + "%ed%a0%80",
    "cut off": NOBODY + "%f0%9f%a5",
}  # fmt: skip
ILLEGAL_IN_JSON = (
    '""',
    f'"{NOBODY}{"x" * 125}"',
    f'"{NOBODY}\\u0000"',
    f'"{NOBODY}\\ud800"',
    "7",
    "null",
    "true",
    "{}",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database: Any, _session_redis_url: str) -> Iterator[Service]:
    home = init_home(
        load_settings({"RECSYS_HOME": str(tmp_path_factory.mktemp("bad input") / "a shop")}),
        first_day=date(2017, 1, 1), time_zone="UTC", currency="EUR",
    )  # fmt: skip
    stores = Stores(home, database(), _session_redis_url)
    token = filled(stores, *ODD)
    with servers(settings(stores), home) as found:
        environment = platform_environment(settings(stores), home, found) | UNLIMITED | {"RECSYS_REQUEST_LOG": "on"}
    wanted = next(s for s in up._services(settings(stores), home, environment) if s.program.name == "api")
    child = Child(wanted.program)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", wanted.port)) == 0

    try:
        assert wait_until(answers, 60), child.tail()
        with httpx.Client(base_url=f"http://127.0.0.1:{wanted.port}", timeout=30) as client:
            document = client.get("/openapi.json").json()
            yield Service(stores, wanted.port, token, client, child.program.log, operations(document), document)
    finally:
        child.stop()


@pytest.fixture(autouse=True)
def _the_log_knows_nobody(service: Service) -> Iterator[None]:
    yield
    health = service.client.get("/api/v1/health")
    assert health.status_code == 200, "it still answers"
    log = service.log.read_text()
    secrets = {NOBODY, service.token, "userId", *map(service.stores.key, ODD)}
    assert [secret for secret in secrets if secret in log] == []
    assert "Traceback" not in log
    assert "request failed" not in log


def refused(answer: Raw, named: str | None = None, *statuses: int) -> None:
    """A problem that names what it refuses, and repeats nothing of it."""
    assert 400 <= answer.status < 500, answer
    assert not statuses or answer.status in statuses, answer
    problem = answer.problem
    assert named is None or named in (problem.get("parameter"), problem.get("field")), (named, problem)
    assert NOBODY not in json.dumps(problem), problem


def is_id(schema: dict[str, Any]) -> bool:
    return bool(schema.get("maxLength") == 128)


def test_every_legal_id_is_taken_and_read_as_it_is(service: Service) -> None:
    order = ("GET", "POST", "PUT", "DELETE")  # reads before they are gone
    asked = 0
    for operation in sorted(service.operations, key=lambda one: order.index(one.method)):
        for odd in ODD:
            raw = quote(odd, safe="")
            for parameter in (p for p in operation.named("path") if is_id(p["schema"])):
                answer = service.send(operation, operation.target(**{parameter["name"]: raw}))
                assert answer.status in (200, 202), (operation, odd, answer)
                assert json.loads(answer.body).get(parameter["name"], odd) == odd
                asked += 1
            for parameter in operation.named("query"):
                if is_id(parameter["schema"].get("items", parameter["schema"])):
                    answer = service.send(operation, operation.target(f"{parameter['name']}={raw}"))
                    assert answer.status == 200, (operation, odd, answer)
                    asked += 1
    assert asked >= 7 * len(ODD)
    assert asked % len(ODD) == 0


def test_every_legal_id_in_a_body_is_taken(service: Service) -> None:
    asked = 0
    for operation in service.operations:
        for name, schema in (service.fields(operation) if operation.body else {}).items():
            one = service.resolved(schema)
            for odd in ODD:
                if is_id(one):
                    body: dict[str, Any] = operation.body | {name: odd}
                elif is_id(service.resolved(one.get("items", {}))):
                    body = operation.body | {name: [odd, odd]}
                else:
                    break
                answer = service.send(operation, operation.target(), json.dumps(body).encode())
                assert answer.status == 200, (operation, name, odd, answer)
                assert json.loads(answer.body.splitlines()[0])["user_id"] in (odd, *PEOPLE)
                asked += 1
    assert asked == 4 * len(ODD)


def test_no_illegal_id_is_taken(service: Service) -> None:
    seen = set()
    for operation in service.operations:
        for raw in ILLEGAL.values():
            for parameter in (p for p in operation.named("path") if is_id(p["schema"])):
                refused(service.send(operation, operation.target(**{parameter["name"]: raw})), parameter["name"], 400)
                seen.add(parameter["name"])
            for parameter in operation.named("query"):
                if is_id(parameter["schema"].get("items", parameter["schema"])):
                    query = f"{parameter['name']}={raw}"
                    refused(service.send(operation, operation.target(query)), parameter["name"], 400)
                    seen.add(parameter["name"])
        for name, schema in (service.fields(operation) if operation.body else {}).items():
            one = service.resolved(schema)
            for literal in ILLEGAL_IN_JSON:
                if is_id(one):
                    refused(service.send(operation, operation.target(), changed(operation, name, literal)), name, 422)
                elif is_id(service.resolved(one.get("items", {}))):
                    body = changed(operation, name, f'["fine", {literal}]')
                    refused(service.send(operation, operation.target(), body), f"{name}[1]", 422)
                    seen.add(f"{name} of {operation}")
    assert seen == {
        "userId", "anonId", "productId", "currentProductId", "recent", "cart", "exclude", "user_id", "item_id",
        "exclude of POST /api/v1/recommendations", "exclude of POST /api/v1/recommendations/bulk",
        "user_ids of POST /api/v1/recommendations/bulk",
    }  # fmt: skip


def changed(operation: Operation, name: str, literal: str) -> bytes:
    """The operation's example with one field as these characters."""
    rest = {key: value for key, value in operation.body.items() if key != name}
    return "".join(["{", json.dumps(name), ": ", literal, ", " if rest else "", json.dumps(rest)[1:]]).encode()


NUMBERS = ("-1", "0x1", "ten", "1e9", "1000000000", "1.5", "+1", "%201", "", "1%00", "%D9%A1", "1,1", "null", "%ff")


def test_a_number_out_of_bounds_or_none_at_all_is_named(service: Service) -> None:
    seen = []
    for operation in service.operations:
        for parameter in operation.named("query"):
            schema, name = parameter["schema"], parameter["name"]
            if schema.get("type") == "integer":
                for raw in (*NUMBERS, str(schema["minimum"] - 1), str(schema["maximum"] + 1)):
                    refused(service.send(operation, operation.target(f"{name}={raw}")), name, 400)
                seen.append(name)
                for raw in (schema["minimum"], schema["maximum"]):
                    assert service.send(operation, operation.target(f"{name}={raw}")).status == 200
    assert sorted(seen) == ["limit", "n", "n", "n", "n"]


def test_a_word_that_is_none_of_those_is_named(service: Service) -> None:
    for operation in service.operations:
        for parameter in operation.named("query"):
            schema, name = parameter["schema"], parameter["name"]
            if {"enum", "pattern", "format", "oneOf", "anyOf"} & schema.keys() and not is_id(schema):
                for raw in (NOBODY + "%00", "%ff"):
                    refused(service.send(operation, operation.target(f"{name}={raw}")), name, 400)
            if "maxLength" in schema:
                raw = NOBODY + "x" * schema["maxLength"]
                refused(service.send(operation, operation.target(f"{name}={raw}")), name, 400)


def test_a_parameter_twice_too_often_or_unknown_is_named(service: Service) -> None:
    for operation in service.operations:
        for parameter in operation.named("query"):
            one = f"{parameter['name']}={quote(str(an_example(parameter)), safe='')}"
            often = 101 if parameter["schema"].get("type") == "array" else 2
            refused(service.send(operation, operation.target("&".join([one] * often))), parameter["name"], 400)
        if operation.path not in OF_OPERATORS:
            for query, named in (
                ("nonsense=1", "nonsense"),
                ("userid=1", "userid"),
                ("%ff=1", None),
            ):
                refused(service.send(operation, operation.target(query)), named, 400)
                service.send(operation, operation.target("&&="))


OF_OPERATORS = ("/livez", "/readyz", "/metrics", "/api/v1/health")  # a probe may add what it likes


def an_example(parameter: dict[str, Any]) -> Any:
    example = parameter["example"]
    return example[0] if isinstance(example, list) else example


WRONG = {"string": "5", "integer": '"ten"', "number": '"ten"', "boolean": '"yes"', "array": '{"0": "1"}'}
BODIES = {
    "empty": b"", "blank": b" \n", "not JSON": b"{", "words": b"user_id=1&n=5", "two": b"{} {}",
    "no UTF-8": b'{"user_id": "\xff"}', "UTF-16": '{"user_id": "1"}'.encode("utf-16"), "a null": b"null",
    "a list": b"[]", "a word": b'"x"', "a number": b"1e999",
    "not a number": b'{"user_id": NaN}', "endless": b'{"price_range_min": Infinity}', "nothing": b"{}",
    "nested lists": b"[" * 100_000 + b"]" * 100_000, "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "never closed": b"[" * 100_000, "nested in a field": b'{"user_id": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "many digits": b'{"num_recommendations": ' + b"9" * 5_000 + b"}", "a comment": b'{"user_id": "1" /* */}',
    "a NUL": b'{"user_id": "1"}\x00', "a mark": b'\xef\xbb\xbf{"user_id": "1"}', "a tail": b'{"user_id": "1",}',
}  # fmt: skip


def test_a_body_that_is_none_is_refused(service: Service) -> None:
    for operation in (one for one in service.operations if one.body is not None):
        for name, body in BODIES.items():
            if (operation.path, name) == ("/mcp/planner", "nothing"):
                continue  # of somebody unknown who has done nothing: there is a plan for them, too
            refused(service.send(operation, operation.target(), body), None, 400, 413, 422)
        refused(service.send(operation, operation.target(), b" " * 10_000_000), None, 413)
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
        ):
            refused(service.send(operation, operation.target(), Content_Type=kind), None, 415)


def test_a_field_that_is_unknown_missing_or_of_another_type_is_named(service: Service) -> None:
    for operation in (one for one in service.operations if one.body is not None):
        properties = service.fields(operation)
        refused(service.send(operation, operation.target(), changed(operation, "nonsense", "1")), "nonsense", 422)
        first = next(iter(operation.body))
        twice = json.dumps(operation.body)[:-1] + f', "{first}": 1}}'
        refused(service.send(operation, operation.target(), twice.encode()), first, 400)
        for name, schema in properties.items():
            kinds = [service.resolved(one) for one in schema.get("anyOf", [schema])]
            for kind in kinds:
                if kind.get("type") in WRONG:
                    body = changed(operation, name, WRONG[kind["type"]])
                    refused(service.send(operation, operation.target(), body), name, 422)
                for bound, by in (("minimum", -1), ("maximum", 1)):
                    if bound in kind:
                        body = changed(operation, name, repr(kind[bound] + by))
                        refused(service.send(operation, operation.target(), body), name, 422)
                if kind.get("type") == "integer":
                    for literal in ("1.5", "1e400", "1e9", "-0.5", "true", "null", "[]", '"5"'):
                        refused(service.send(operation, operation.target(), changed(operation, name, literal)), name)
                if "maxItems" in kind:
                    body = changed(operation, name, json.dumps([str(n) for n in range(kind["maxItems"] + 1)]))
                    refused(service.send(operation, operation.target(), body), name, 422)
                if kind.get("minItems"):
                    refused(service.send(operation, operation.target(), changed(operation, name, "[]")), name, 422)


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


def test_an_unknown_method_is_refused(service: Service) -> None:
    assert len(service.operations) >= 18
    for operation in service.operations:
        # A template takes what another path says literally: /recommendations/bulk is a list, of somebody called bulk.
        known = {one.method for one in service.operations if one.matches(operation.path)}
        for method in (method for method in METHODS if method not in known):
            (answer,) = send(service.port, request(method, operation.target().encode()))
            refused(answer, None, 405)
            assert set(answer.headers["allow"].split(", ")) <= known
    # Nobody is erased whose id ends like another route, unless the id is encoded.
    delete = next(one for one in service.operations if one.method == "DELETE")
    for path, status in (("2375/preferences", 405), ("2375%2Fpreferences", 202)):
        answer = service.send(delete, f"/api/users/{path}")
        assert answer.status == status, answer


def test_an_unknown_route_is_refused(service: Service) -> None:
    for path in (
        "/", "/api", "/api/", "/api/recommendations/", f"/{NOBODY}", "/api/v1/health/", "//api/v1/health", "/api/v2/x",
        "/%2e%2e/etc/passwd", "/API/recommendations", "/api/erasures/", "/api/users",
    ):  # fmt: skip
        (answer,) = send(service.port, request("GET", path.encode()))
        refused(answer, None, 404)


LONG = NOBODY.encode() * 25_000
LINES = {  # what of HTTP itself is odd → what it may be answered with; nothing: it hangs up
    "a long path": (request("GET", b"/api/v1/items/" + LONG + b"/similar"), {400, 414, 431}),
    "a long query": (request("GET", b"/api/recommendations?userId=" + LONG), {400, 414, 431}),
    "a long header": (request("GET", b"/api/recommendations", X_Request_Id=LONG.decode()), {200, 400, 431}),
    "bytes in the path": (request("GET", b"/api/v1/items/" + NOBODY.encode() + b"\xff\xfe/similar"), {400}),
    "bytes in the query": (request("GET", b"/api/recommendations?userId=" + NOBODY.encode() + b"\xff"), {400}),
    "a space in the query": (request("GET", b"/api/recommendations?userId=a b"), {400}),
    "a whole address": (request("GET", b"http://elsewhere/" + NOBODY.encode()), {400, 404}),
    "a star": (request("OPTIONS", b"*"), {400, 404, 405}),
    "no host": (b"GET /api/recommendations HTTP/1.1\r\nConnection: close\r\n\r\n", {200, 400}),
    "an old version": (b"GET /api/recommendations HTTP/1.0\r\n\r\n", {200}),
    "a version to come": (b"GET /api/recommendations HTTP/9.9\r\nHost: shop\r\n\r\n", {400, 505}),
    "no version": (b"GET /" + NOBODY.encode() + b"\r\n\r\n", {400, 404}),
    "no header": (b"GET / HTTP/1.1\r\nHost: shop\r\n" + NOBODY.encode() + b"\r\n\r\n", {400}),
    "a NUL in a header": (request("GET", b"/api/recommendations", X_Odd=NOBODY + "\x00"), {400}),
    "no length": (request("PUT", b"/api/users/1/preferences", Content_Length=NOBODY), {400}),
    "a length below 0": (request("PUT", b"/api/users/1/preferences", Content_Length="-1"), {400}),
    "two lengths": (request("PUT", b"/api/users/1/preferences", b"{}", content_length="5"), {400}),
    "a length and chunks": (
        request("PUT", b"/api/users/1/preferences", b"0\r\n\r\n", Transfer_Encoding="chunked"), {400, 401},
    ),
    "no chunk": (request("PUT", b"/api/users/1/preferences", Transfer_Encoding="chunked") + b"zz\r\n", {400, 401}),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOBODY.encode() + b"\r\n\r\n", {400}),
    "a token of odd bytes": (request("GET", b"/api/v1/users", Authorization="Bearer \xff" + NOBODY), {401}),
    "two tokens": (request("GET", b"/api/v1/users", Authorization="Bearer a", authorization="Bearer b"), {401}),
    "an odd scheme": (request("GET", b"/api/v1/users", Authorization="Basic " + NOBODY), {401}),
    "no token after all": (request("GET", b"/api/v1/users", Authorization="Bearer"), {401}),
}  # fmt: skip


@pytest.mark.parametrize("what", LINES)
def test_what_is_odd_in_http_itself_is_answered_or_hung_up_on(service: Service, what: str) -> None:
    sent, statuses = LINES[what]
    for answer in send(service.port, sent)[:1]:
        assert answer.status in statuses, answer
        if answer.headers.get("content-type", "").startswith("application/"):  # it has come as far as us
            refused(answer) if answer.status >= 400 else json.loads(answer.body)


def test_requests_sent_at_once_are_answered_in_order(service: Service) -> None:
    first = request("GET", b"/api/v1/items/popular?n=1").replace(b"Connection: close\r\n", b"")
    bad = request("GET", b"/api/recommendations?limit=ten").replace(b"Connection: close\r\n", b"")
    answers = send(service.port, first + bad + request("GET", b"/api/v1/items/popular?n=2"))
    assert [answer.status for answer in answers] == [200, 400, 200]
    assert [len(json.loads(answers[at].body)["popular_items"]) for at in (0, 2)] == [1, 2]


def test_a_body_in_pieces_is_one_body(service: Service) -> None:
    body = json.dumps({"user_id": ODD[0]}).encode()
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    (answer,) = send(
        service.port,
        request("POST", b"/api/v1/recommendations", Content_Type="application/json", Transfer_Encoding="chunked")
        + pieces,
    )
    assert (answer.status, json.loads(answer.body)["user_id"]) == (200, ODD[0])
