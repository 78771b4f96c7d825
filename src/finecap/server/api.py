"""REST: search, facets, one image, captioning, health, counters. Read-only; OpenAPI says it all.

Routes are thin: read values, ask the service beside the event loop, give the answer its type. How a
refusal looks is `errors`'.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from finecap.search.index import IndexRefused, Mode, NoSuchBuild
from finecap.search.query import MAX_CHARACTERS
from finecap.server.asked import MAX_CHIPS, MAX_NAME, Asked
from finecap.server.forms import (
    CaptionAnswer,
    FacetsAnswer,
    Health,
    ImageAnswer,
    Problem,
    SearchAnswer,
)
from finecap.server.metrics import MEDIA_TYPE
from finecap.server.refusals import as_refused
from finecap.server.service import Service

router = APIRouter()

Words = Annotated[
    str,
    Query(
        max_length=MAX_CHARACTERS,
        description='words and conditions: `boat colour:red -background:night relation:"left of"`',
    ),
]
Has = Annotated[
    list[str], Query(max_length=MAX_CHIPS, description="only images with it, e.g. `colour:red`")
]
Without = Annotated[
    list[str], Query(max_length=MAX_CHIPS, description="only images without it, e.g. `size:large`")
]
Like = Annotated[
    str, Query(max_length=MAX_NAME, description="an image's key, or `like` of /api/caption")
]
RankBy = Annotated[Mode, Query(description="rank by words, by the picture, or by both")]
Weight = Annotated[
    float | None,
    Query(ge=0, le=1, description="of the picture in hybrid; left out: by reciprocal rank"),
]
Limit = Annotated[int, Query(ge=1, le=100, description="hits of a page")]
At = Annotated[str, Query(max_length=200, description="`next_cursor` of the page before")]
Beams = Annotated[int, Query(ge=1, le=8, description="beams followed; 1: greedy")]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in (*statuses, 421, 422, 429)}


def service_of(request: Request) -> Service:
    """The parts of the server that got this request."""
    return request.app.state.service


@router.get("/api/search", response_model=SearchAnswer, responses=_problems(400, 404, 410, 503))
async def search(
    request: Request,
    q: Words = "",
    has: Has = [],  # noqa: B006 - FastAPI copies it
    without: Without = [],  # noqa: B006
    like: Like = "",
    mode: RankBy = "hybrid",
    picture_weight: Weight = None,
    limit: Limit = 24,
    cursor: At = "",
) -> Response:
    """Images by what their captions say, by what they show, or by another image."""
    service = service_of(request)
    asked = Asked.read(
        q=q,
        has=has,
        without=without,
        like=like,
        mode=mode,
        picture_weight=picture_weight,
        limit=limit,
    )
    answer = await service.search(service.answers.answer, asked, cursor)
    return _json(SearchAnswer.of(answer))


@router.get("/api/facets", response_model=FacetsAnswer, responses=_problems(400, 503))
async def facets(
    request: Request,
    q: Words = "",
    has: Has = [],  # noqa: B006
    without: Without = [],  # noqa: B006
    mode: RankBy = "words",
) -> Response:
    """How many images have each value; by words, of those whose captions say one of them."""
    service = service_of(request)
    asked = Asked.read(q=q, has=has, without=without, mode=mode)
    manifest, found = await service.search(service.answers.facets, asked)
    counts = {name: dict(values) for name, values in found.items()}
    return _json(FacetsAnswer(build=manifest.build_id, facets=counts))


@router.get(
    "/api/images/{image:path}", response_model=ImageAnswer, responses=_problems(404, 410, 503)
)
async def image(request: Request, image: str) -> Response:
    """All that is stored of an image: every caption, by every model and by people."""
    service = service_of(request)
    story = await service.search(service.answers.story, image, Asked())
    return _json(ImageAnswer.of(story))


@router.post(
    "/api/caption",
    response_model=CaptionAnswer,
    responses=_problems(400, 401, 413, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": {"type": "string", "format": "binary"}},
                    }
                },
            },
        },
        "security": [{}, {"bearer": []}],
    },
)
async def caption(request: Request, beams: Beams = 1) -> Response:
    """What the live build's captioner says of an image in any usual format.

    Where the server was given a token, it asks for it as `Authorization: Bearer`.
    """
    return _json(CaptionAnswer.of(await service_of(request).caption(request, beams)))


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """Whether the process lives."""
    return _json(Health(status="ok"))


@router.get("/readyz", response_model=Health, responses={503: {"model": Health}})
async def readyz(request: Request) -> Response:
    """Whether a build is live and its encoder answers."""
    service = service_of(request)
    try:
        build_id = await service.search(_ready, service)
    except (NoSuchBuild, IndexRefused, FileNotFoundError) as error:
        return _json(Health(status="not ready", reason=str(as_refused(error))), 503)
    return _json(Health(status="ok", build=build_id))


def _ready(service: Service) -> str:
    """The live build, its encoder loaded."""
    manifest = service.builds.live()
    service.models.warm_up(manifest)
    return manifest.build_id


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counters, as Prometheus reads them."""
    service = service_of(request)
    try:
        manifest = await service.search(service.builds.live)
        service.metrics.live(manifest.build_id, manifest.rows)
    except NoSuchBuild:
        service.metrics.rows.clear()
    return Response(service.metrics.text(), media_type=MEDIA_TYPE)


def _json(answer: BaseModel, status: int = 200) -> Response:
    """The answer, written once: FastAPI would validate it a second time."""
    return Response(answer.model_dump_json(), status, media_type="application/json")
