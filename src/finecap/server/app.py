"""The web application: routes, refusals and guard put together, and the server that runs it."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from finecap.config import ServeConfig
from finecap.search.index import IndexRefused, NoSuchBuild
from finecap.server import api, pages
from finecap.server.api import service_of
from finecap.server.errors import answer_failure, answer_refusal
from finecap.server.guard import Guard
from finecap.server.refusals import FORESEEN, Refused
from finecap.server.service import Service
from finecap.server.static import static_files

_log = logging.getLogger("finecap.server")
_SHUTDOWN_S = 5


def create_app(home: Path, root: Path, config: ServeConfig, token: str = "") -> FastAPI:
    """The application over the index of a home folder.

    Args:
        home: the home folder; its index may come into being later.
        root: the folder that image paths of the index are relative to.
        config: limits, sizes, names it may be asked by.
        token: that captioning asks for; "": none.
    """
    service = Service(home, root, config, token)
    app = FastAPI(
        title="finecap",
        description="Find images by what their captions say, by what they show, or by an image.",
        version="1",
        # Its pages of documentation load scripts from elsewhere; the document itself is served.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    for error in (*FORESEEN, HTTPException, RequestValidationError):
        app.add_exception_handler(error, answer_refusal)
    app.add_exception_handler(Exception, answer_failure)
    app.add_middleware(
        Guard,
        rate=service.rate,
        metrics=service.metrics,
        hosts=config.hosts,
        answering=answer_refusal,
    )
    _document_bearer(app)
    return app


def server_of(app: FastAPI, config: ServeConfig) -> uvicorn.Server:
    """A server of the application, not running yet."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=config.connections,
            timeout_graceful_shutdown=_SHUTDOWN_S,
            # An address that a proxy vouches for is not taken: limits go by the connection's.
            proxy_headers=False,
        )
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Load the encoder in the background; end the decoder with the server."""
    service: Service = app.state.service
    warming = asyncio.create_task(_warm_up(service))
    yield
    warming.cancel()
    with suppress(asyncio.CancelledError):
        await warming
    await service.search(service.decoder.close)


async def _warm_up(service: Service) -> None:
    """Have the encoder ready; what is missing is said here and again where it is asked for."""
    try:
        manifest = await service.search(service.builds.live)
        await service.search(service.models.warm_up, manifest)
    except (NoSuchBuild, IndexRefused, FileNotFoundError) as error:
        _log.warning("not ready: %s", error)


async def _static(request: Request, name: str) -> Response:
    """A file that pages load."""
    found = static_files().get(name)
    if found is None:
        raise Refused(404, "there is no such file")
    return pages.kept(request, found.content, found.media_type, found.etag)


def _document_bearer(app: FastAPI) -> None:
    """Name the token's scheme in the OpenAPI document."""
    document = app.openapi()
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}


__all__ = ["create_app", "server_of", "service_of"]
