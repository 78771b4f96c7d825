"""The pages that people search with. Each is whole without a script; the address is the state.

With the script a click replaces the results alone, cut out of the same page.
"""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from finecap.search.index import Mode, NoSuchBuild
from finecap.search.query import MAX_CHARACTERS
from finecap.server import views
from finecap.server.answers import Answer, Story
from finecap.server.api import At, Has, Like, Without, service_of
from finecap.server.asked import EVEN, Asked, with_balance
from finecap.server.service import Service
from finecap.server.templates import render
from finecap.server.thumbnails import Thumbnail

router = APIRouter(include_in_schema=False)

Slider = Annotated[int, Query(ge=0, le=100)]
Words = Annotated[str, Query(max_length=MAX_CHARACTERS)]
Name = Annotated[str, Query(max_length=200)]
_SIMILAR: tuple[tuple[str, Mode], ...] = (
    ("caption and picture", "hybrid"),
    ("what is said", "words"),
    ("what is seen", "picture"),
)
_A_DAY = "public, max-age=86400"


@router.get("/")
async def search_page(
    request: Request,
    q: Words = "",
    has: Has = [],  # noqa: B006 - FastAPI copies it
    without: Without = [],  # noqa: B006
    like: Like = "",
    balance: Slider = EVEN,
    cursor: At = "",
) -> Response:
    """The search page: the form, chips, and the images found."""
    service = service_of(request)
    asked = _asked(service, q, has, without, like, balance)
    try:
        answer = await service.search(service.answers.answer, asked, cursor)
    except NoSuchBuild:
        is_building = await service.search(service.builds.is_building)
        page = render("waiting.html", is_building=is_building)
        return HTMLResponse(page, 503, {"Retry-After": "10"})
    return HTMLResponse(_search_page(service, asked, answer))


@router.post("/search-by-image")
async def search_by_image(request: Request) -> Response:
    """Caption the image that was sent, and go to the page that searches with it."""
    captioned = await service_of(request).caption(request)
    return RedirectResponse(Asked(like=captioned.sent.key).address(), 303)


@router.get("/images/{image:path}")
async def image_page(
    request: Request,
    image: str,
    q: Words = "",
    has: Has = [],  # noqa: B006
    without: Without = [],  # noqa: B006
    like: Like = "",
    balance: Slider = EVEN,
    a: Name = "",
    b: Name = "",
) -> Response:
    """One image: all that was said of it, two versions side by side, why it has its place."""
    service = service_of(request)
    asked = _asked(service, q, has, without, like, balance)
    story = await service.search(service.answers.story, image, asked)
    return HTMLResponse(_image_page(story, asked, a, b))


@router.get("/thumbnails/{build_id}/{image:path}")
async def thumbnail(
    request: Request, build_id: str, image: str, size: Annotated[str, Query(max_length=5)] = "small"
) -> Response:
    """An image's picture; the index says which file it is."""
    service = service_of(request)
    wanted = "large" if size == "large" else "small"

    def picture() -> Thumbnail:
        manifest = service.builds.named(build_id)
        return service.thumbnails.of(service.answers.row(manifest, image), wanted)

    found = await service.search(picture)
    return kept(request, found.content, found.media_type, found.etag)


@router.get("/sent/{key}")
async def sent_picture(request: Request, key: str) -> Response:
    """The picture of an image that was sent."""
    sent = service_of(request).kept.get(key)
    return kept(request, sent.thumbnail, "image/jpeg", f'"{key}"')


def _asked(
    service: Service, q: str, has: list[str], without: list[str], like: str, balance: int
) -> Asked:
    """The question of an address."""
    mode, weight = with_balance(balance)
    return Asked.read(
        q=q,
        has=has,
        without=without,
        like=like,
        mode=mode,
        picture_weight=weight,
        limit=service.config.page_size,
    )


def _search_page(service: Service, asked: Asked, answer: Answer) -> str:
    """The page of an answer."""
    return render(
        "search.html",
        asked=asked,
        answer=answer,
        balanced=views.balanced(asked.balance),
        cards=views.cards(answer, asked),
        fields=views.fields(answer.facets, asked),
        chosen=views.chosen(asked),
        needs_token=bool(service.token),
        upload_mb=service.config.upload_mb,
        next_page=asked.address(cursor=answer.cursor) if answer.cursor else "",
        first_page=asked.address(),
        without_example=replace(asked, like="").address(),
    )


def _image_page(story: Story, asked: Asked, a: str, b: str) -> str:
    """The page of one image."""
    said = views.versions(story.captions)
    names = list(said)
    left = a if a in said else names[0]
    others = [name for name in names if name != left]
    models = [name for name in others if said[name].source == "model"]
    right = b if b in said else next(iter([*models, *others]), left)
    sides = [
        (name, *views.side(said[name].caption, said[other].caption, story.text))
        for name, other in ((left, right), (right, left))
    ]
    return render(
        "image.html",
        story=story,
        asked=asked,
        said=said,
        sides=sides if len(said) > 1 else [],
        left=left,
        right=right,
        caption=views.marked(story.row.caption, story.hit.matched_words if story.hit else ()),
        scores=views.scores(story.hit) if story.hit else (),
        joined=views.joined(story.hit, asked) if story.hit else "",
        similar=[
            (name, Asked(like=story.row.image, mode=mode).address()) for name, mode in _SIMILAR
        ],
        back=asked.address(),
    )


def kept(request: Request, content: bytes, media_type: str, etag: str) -> Response:
    """A picture, or word that the browser has it."""
    headers = {"ETag": etag, "Cache-Control": _A_DAY}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
