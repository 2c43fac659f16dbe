"""The API's only writes: opt-out, opt-in and erasure, each answered with a receipt, and what has become of one.

A 202 is given when the wish is committed in Postgres and every process that can know has stopped serving the person.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal, TypeVar

import psycopg
import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from recsys_assets.errors import HomeError, RefusedError, StoreError, UnwritableError
from recsys_assets.serving.access import require
from recsys_assets.serving.api import Api
from recsys_assets.serving.asking import StoreFailedError
from recsys_assets.serving.bodies import Body, read_body
from recsys_assets.serving.parameters import Parameter, one_of, read_query
from recsys_assets.serving.pointer import fetch
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.routes.paths import id_in_path, path_parameter
from recsys_assets.serving.schemas import Answered, Problem
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.receipts import Receipt, number_of, shaped
from recsys_assets.stores.suppressions import SETTLE_SECONDS, WISH_SECONDS, OptedIn, Suppressed, Suppressions

PREFERENCES = "/api/users/{user_id:opaque}/preferences"
USER = "/api/users/{user_id:opaque}"
# One lock in Postgres lets one wish in at a time: more threads would only hold more of its connections while waiting.
WISHES_AT_ONCE = 8
WAIT_SECONDS = WISH_SECONDS + 2  # for the thread, too
RETRY_SECONDS = 5
MAX_BYTES = 10_000
_log = structlog.stdlib.get_logger(__name__)
_KIND = Parameter(
    "kind", one_of("user", "anon"), {"type": "string", "enum": ["user", "anon"]},
    "What the id is: a user's, or an anonymous one (a cookie, a device).", "user", default="user",
)  # fmt: skip
_WHO = path_parameter("user_id", "The shop's id of the person, or key:<hex> as listings print it.", "2375")
_NUMBER = "0f8d3c5e-9a7b-4d6c-8e1f-2a3b4c5d6e7f"
_RECEIPT = {
    "name": "receipt", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"},
    "description": "Number of the receipt.", "example": _NUMBER,
}  # fmt: skip
_ASKED, _DONE = "2017-12-31T09:00:00+00:00", "2017-12-31T09:01:40+00:00"
Done = TypeVar("Done")


class Preferences(Body):
    """What the person wishes."""

    recommendations: bool = Field(description="Whether there may be recommendations for this person.")


class Accepted(Answered):
    """A wish that holds."""

    receipt: str = Field(description="Number of the receipt; it cannot be guessed.")
    kind: Literal["optout", "optin", "erasure"] = Field(description="The wish that holds, which may be an earlier one.")
    recommendations: bool = Field(description="Whether there are recommendations for this person from now on.")
    follows: list[str] = Field(description="What is still to come, in sentences.")


class Line(Answered):
    """What was removed from one store at one time."""

    store: str
    count: int = Field(ge=0, description="Rows, values or files.")
    at: datetime


class State(Answered):
    """What has become of a wish."""

    receipt: str
    kind: Literal["optout", "optin", "erasure"]
    status: Literal["pending", "done"]
    asked_at: datetime = Field(description="From then on no reader sees the person.")
    done_at: datetime | None = Field(description="When the last store had followed; null: not yet.")
    stores: list[Line] = Field(description="What was removed where, in order.")
    weight_gone_with: int | None = Field(description="First generation whose model was trained without the person.")
    follows: list[str] = Field(description="What is still to come, in sentences.")


_ACCEPTED = {
    "receipt": _NUMBER, "kind": "erasure", "recommendations": False,
    "follows": ["The lake is swept within minutes; GET /api/erasures/<receipt> says when it is done."],
}  # fmt: skip
_OPTED_OUT = _ACCEPTED | {"kind": "optout", "follows": []}
_STATE = {
    "receipt": _NUMBER, "kind": "erasure", "status": "done", "asked_at": _ASKED, "done_at": _DONE,
    "stores": [{"store": "Postgres lists", "count": 2, "at": _ASKED}, {"store": "lake", "count": 311, "at": _DONE}],
    "weight_gone_with": 5, "follows": [],
}  # fmt: skip


def _answers(model: type[Answered], status: int, example: dict[str, Any], *problems: int) -> dict[int | str, Any]:
    made: dict[int | str, Any] = {problem: {"model": Problem} for problem in problems}
    made[status] = {"model": model, "content": {"application/json": {"example": example}}}
    return made


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["people"])
    threads = ThreadPoolExecutor(WISHES_AT_ONCE)  # one that hangs keeps its place: there are never more
    writes = [Depends(require(api, "writes"))]

    async def wish(act: Callable[[Suppressions], Done]) -> Done:
        """Makes a wish hold, in a thread and on connections of its own."""

        def hold() -> Done:
            cache = Cache(api.settings.redis_url)
            try:
                return act(Suppressions(Postgres(api.settings.postgres_url, WISH_SECONDS), cache, api.home.keys))
            finally:
                cache.close()

        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(threads, hold)
        except TimeoutError:
            raise _away("Whether the wish holds is not known, and nothing is lost by asking again.") from None
        except RefusedError:
            detail = "This person was erased: an opt-in cannot bring back what is gone."
            raise ProblemError(409, "Erased", detail) from None
        except StoreError:
            raise _away("Nothing is promised, and nothing is lost by asking again.") from None
        except (HomeError, UnwritableError, psycopg.Error) as error:
            _log.error("wish failed", error=type(error.__cause__ or error).__name__)
            detail = "The database does not let this be written; the operator has to mend that. Nothing is promised."
            raise ProblemError(503, "Not possible now", detail) from None

    def key_of(request: Request, route: str) -> str:
        user = id_in_path(request, route)
        kind = read_query(request.scope["query_string"], [_KIND])["kind"]
        return api.home.keys.resolve(user, anonymous=kind == "anon")

    @made.put(
        PREFERENCES, status_code=202, dependencies=writes,
        responses=_answers(Accepted, 202, _OPTED_OUT, 400, 401, 403, 409, 413, 422, 503),
        openapi_extra={
            "parameters": [_WHO, _KIND.document()],
            "requestBody": {
                "required": True,
                "content": {"application/json": {
                    "schema": Preferences.model_json_schema(), "example": {"recommendations": False},
                }},
            },
        },
    )  # fmt: skip
    async def preferences(request: Request) -> Response:
        """Opt a person out of recommendations, at once and everywhere, or in again."""
        key = key_of(request, PREFERENCES)
        wanted = await read_body(request, Preferences, MAX_BYTES)
        if wanted.recommendations:
            return _accepted_optin(await wish(lambda found: found.optin(key)))
        return _accepted(await wish(lambda found: found.optout(key)))

    @made.delete(
        USER, status_code=202, dependencies=writes,
        responses=_answers(Accepted, 202, _ACCEPTED, 400, 401, 403, 503),
        openapi_extra={"parameters": [_WHO, _KIND.document()]},
    )  # fmt: skip
    async def forget(request: Request) -> Response:
        """Erase a person, for good: not served from now on, and removed from every store soon."""
        if request.scope["raw_path"].endswith(b"/preferences"):  # of whose preferences? Encoded, it is part of an id
            raise _not_allowed("PUT")
        key = key_of(request, USER)
        read_query(request.scope["query_string"], [_KIND])
        return _accepted(await wish(lambda found: found.forget(key)))

    @made.get(
        "/api/erasures/{receipt}", responses=_answers(State, 200, _STATE, 400, 404, 503),
        openapi_extra={"parameters": [_RECEIPT]},
    )  # fmt: skip
    async def erasure(request: Request) -> Response:
        """What has been removed where, and what is still to come. The number is the proof: there is no token."""
        read_query(request.scope["query_string"], [])
        number = number_of(request.path_params["receipt"])
        try:
            found = [] if number is None else await fetch(api.pool, "read/receipt", {"receipt": number})
        except StoreFailedError:
            raise _away("Ask again soon.") from None
        if not found:
            raise ProblemError(404, "Unknown receipt", "There is no receipt with this number.")
        return _answer(_state(shaped(found[0])), 200)

    return made


def _away(what: str) -> ProblemError:
    made = ProblemError(503, "Postgres away", f"The database does not answer. {what}")
    made.headers = {"Retry-After": str(RETRY_SECONDS)}
    return made


def _not_allowed(*methods: str) -> ProblemError:
    made = ProblemError(405, "Method Not Allowed", "There is no such method of this route.")
    made.headers = {"Allow": ", ".join(methods)}
    return made


def _answer(body: dict[str, Any], status: int, **headers: str) -> Response:
    return JSONResponse(body, status, headers={"Cache-Control": "no-store", **headers})


def _accepted(done: Suppressed) -> Response:
    follows = []
    if done.cache_problem is not None:
        follows.append(
            f"Redis could not be told: every API process that reaches Postgres has stopped trusting it, "
            f"{SETTLE_SECONDS:.0f} s after the wish, until a publish or a warm has brought it up to date."
        )
    if done.erased:
        follows.append("The lake is swept within minutes; GET /api/erasures/<receipt> says when it is done.")
    kind = "erasure" if done.erased else "optout"
    body = {"receipt": done.receipt, "kind": kind, "recommendations": False, "follows": follows}
    return _answer(body, 202, Location=f"/api/erasures/{done.receipt}")


def _accepted_optin(done: OptedIn) -> Response:
    follows = []
    if done.by_file:
        follows.append("Not served still: the shop's users file says no, and only a later yes in it lifts that.")
    elif done.was_out:
        follows.append("The list comes back with the next publish.")
    body = {"receipt": done.receipt, "kind": "optin", "recommendations": not done.by_file, "follows": follows}
    return _answer(body, 202, Location=f"/api/erasures/{done.receipt}")


def _state(found: Receipt) -> dict[str, Any]:
    return {
        "receipt": found.receipt,
        "kind": found.kind,
        "status": found.status,
        "asked_at": found.asked_at.isoformat(),
        "done_at": found.done_at and found.done_at.isoformat(),
        "stores": [{"store": one.store, "count": one.count, "at": one.at.isoformat()} for one in found.stores],
        "weight_gone_with": found.weight_gone_with,
        "follows": list(found.follows),
    }
