"""`/api/v1/users`: people by key, and one person's profile."""

import re

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from recsys_assets.identity import KEY_PREFIX
from recsys_assets.serving import examples
from recsys_assets.serving.access import require
from recsys_assets.serving.api import Api
from recsys_assets.serving.documented import answers, asks
from recsys_assets.serving.parameters import Parameter, read_query, whole, whole_schema
from recsys_assets.serving.problems import ProblemError
from recsys_assets.serving.record import record
from recsys_assets.serving.routes.paths import id_in_path
from recsys_assets.serving.routes.v1 import USER_ID, profile_row
from recsys_assets.serving.schemas import Profile, Users
from recsys_assets.serving.shaping import profile

PROFILE = "/api/v1/users/{user_id:opaque}/profile"
MAX_USERS = 1_000
_LISTED = re.compile(KEY_PREFIX + "([0-9a-f]{32})")
_FIRST = "0" * 32  # no HMAC is that


def _after(raw: str) -> str:
    found = _LISTED.fullmatch(raw)
    if found is None:
        raise ValueError("is not a key as next_after has it: key: and 32 hex digits")
    return found[1]


USERS_PARAMETERS = (
    Parameter("n", whole(1, MAX_USERS), whole_schema(1, MAX_USERS), "How many people.", 100, default=100),
    Parameter(
        "after", _after, {"type": "string", "pattern": f"^{_LISTED.pattern}$"},
        "`next_after` of the page before; without it, the first page.", examples.KEY,
    ),
)  # fmt: skip


def router(api: Api) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["people"])

    @made.get(
        "/api/v1/users",
        dependencies=[Depends(require(api, "listings"))],
        responses=answers(Users, examples.USERS, 400, 401, 403, 503),
        openapi_extra=asks(USERS_PARAMETERS),
    )
    async def list_users(request: Request) -> Response:
        """People with a list in the live generation, by key, page by page; nobody who opted out."""
        asked, live = read_query(request.scope["query_string"], USERS_PARAMETERS), api.live()
        values = {"generation": live.generation, "after": asked["after"] or _FIRST, "limit": asked["n"] + 1}
        rows = await record(api, "read/people_after", values)
        keys = [KEY_PREFIX + row["person_key"].hex for row in rows[: asked["n"]]]
        following = keys[-1] if len(rows) > asked["n"] else None
        return JSONResponse({"user_ids": keys, "next_after": following, "generation": live.generation})

    @made.get(
        PROFILE,
        dependencies=[Depends(require(api, "profiles"))],
        responses=answers(Profile, examples.PROFILE, 400, 401, 403, 404, 503),
        openapi_extra=asks((), USER_ID),
    )
    async def get_profile(request: Request) -> Response:
        """A person's habits. Who opted out is as unknown as who never was there."""
        user_id = id_in_path(request, PROFILE)
        read_query(request.scope["query_string"], ())
        live = api.live()
        found = await profile_row(api, live, user_id)
        if found is None:
            raise ProblemError(404, "No profile", "There is no profile of this person.", parameter="user_id")
        about = {"user_id": user_id, "generation": live.generation, "day": live.day.isoformat()}
        return JSONResponse(about | profile(found))

    return made
