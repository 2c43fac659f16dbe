"""`POST /api/v1/recommendations/bulk`: up to a thousand people's lists, streamed as they are read."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from recsys_assets.serving import examples
from recsys_assets.serving.access import require
from recsys_assets.serving.api import Api
from recsys_assets.serving.bodies import read_body
from recsys_assets.serving.documented import streams, takes
from recsys_assets.serving.observing import note_list
from recsys_assets.serving.parameters import read_query
from recsys_assets.serving.pointer import Live
from recsys_assets.serving.routes.v1 import check_range
from recsys_assets.serving.schemas import BulkRequest, PersonalList
from recsys_assets.serving.shaping import personal_list, wanted

NDJSON = "application/x-ndjson"
# People who are read at once. More of them would be read before the client has taken them, and might opt out meanwhile.
CHUNK = 50


def router(api: Api) -> APIRouter:
    """The route."""
    made = APIRouter(tags=["recommendations"])

    @made.post(
        "/api/v1/recommendations/bulk",
        response_class=StreamingResponse,
        dependencies=[Depends(require(api, "listings"))],
        responses=streams(NDJSON, PersonalList, examples.BULK_LINE, 400, 401, 403, 413, 422, 503),
        openapi_extra=takes(BulkRequest, examples.BULK_REQUEST),
    )
    async def bulk_recommendations(request: Request) -> Response:
        """Lists of up to a thousand people, one JSON object on each line, in the order asked, all of one generation.

        Who is named twice is answered once, where they were named first; who is unknown, or has opted out, gets what
        is popular.
        """
        read_query(request.scope["query_string"], ())
        asked = await read_body(request, BulkRequest)
        check_range(asked)
        return StreamingResponse(_lines(api, request, api.live(), asked), media_type=NDJSON)

    return made


async def _lines(api: Api, request: Request, live: Live, asked: BulkRequest) -> AsyncIterator[bytes]:
    """NDJSON of each chunk. A client that goes away cancels this where it waits."""
    user_ids, meant = list(dict.fromkeys(asked.user_ids)), wanted(asked)
    for start in range(0, len(user_ids), CHUNK):
        now = api.live()
        # One generation for all of it; but who has opted out and what is sold out are those of now.
        seen = replace(
            live,
            suppression_version=now.suppression_version,
            change_version=now.change_version,
            changes=now.changes,
        )
        piece = user_ids[start : start + CHUNK]
        found = await api.reader.many(seen, [api.home.keys.resolve(user_id) for user_id in piece], meant)
        for each in found:
            note_list(request, seen, hit=each.hit, store=each.store, fallback=each.fallback)
        lines = [
            json.dumps(personal_list(user_id, seen, meant, answer), ensure_ascii=False, separators=(",", ":"))
            for user_id, answer in zip(piece, found, strict=True)
        ]
        yield "\n".join([*lines, ""]).encode()
