"""The HTTP application: its routes and its responses to errors."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
import signal
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Annotated, Any, NoReturn

import anyio
import uvicorn
from anyio.to_thread import run_sync
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from rsgnet.errors import RSGNetError
from rsgnet.server.decoding import Decoders
from rsgnet.server.drawn_crowds import HIGHEST_CROWD_INDEX, CrowdRenderer
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics, MetricsMiddleware
from rsgnet.server.responses import (
    AboutResponse,
    ErrorResponse,
    PosesResponse,
    StatusResponse,
    build_image_response,
    build_poses_response,
)
from rsgnet.server.security import (
    ForeignSiteMiddleware,
    SecurityHeadersMiddleware,
    client_of,
    limited_protocol,
    require_token,
)
from rsgnet.server.uploads import FORM_SCHEMA, HeldBytes, read_images
from rsgnet.server.worker import BusyError, Worker, WorkerCrashError

_LOG = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
_SHUTDOWN_GRACE_S = 5.0  # beyond the time that a request may take
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "The token is missing or wrong."},
    403: {"model": ErrorResponse, "description": "The request comes from the page of another site."},
    422: {"model": ErrorResponse, "description": "The request cannot be used."},
    503: {"model": ErrorResponse, "description": "Too busy; try again after Retry-After seconds."},
}


@dataclass(frozen=True)
class Service:
    """The parts of the application.

    Attributes:
        workers: The workers by the names of their weights; the first is used where a client names none.
        decoders: Decode the images of all workers.
        limits: Requests beyond these limits are refused.
        metrics: Counts requests and images.
        token: The token that clients must send; None for no token.
        host_names: The names, besides IP addresses, by which clients may call a service without a token.
        render_crowd: Draws crowds for the page.
    """

    workers: Mapping[str, Worker]
    decoders: Decoders
    limits: Limits
    metrics: Metrics
    token: str | None = None
    host_names: frozenset[str] = frozenset({"localhost"})
    render_crowd: CrowdRenderer = field(default_factory=CrowdRenderer)


def run_service(service: Service, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM; then accepts no more requests, finishes those accepted, and exits with code 0.

    Where they are not finished in the time that a request may take and some seconds, the process ends with code 1.

    Args:
        service: What to serve.
        host: The address to listen on.
        port: The port to listen on; 0 chooses a free port, which the log names.

    Raises:
        SystemExit: Always.
    """
    config = uvicorn.Config(
        create_app(service),
        host,
        port,
        server_header=False,
        http=limited_protocol(service.limits),
        ws="none",
    )
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _exit)  # the server sends itself the signal again when it has stopped
    _Server(config, service).run()


class _Server(uvicorn.Server):
    """uvicorn's server, which by itself would wait without end for a network that is stuck."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop, and ends the process in any case after a grace period."""
        timer = Timer(self._service.limits.seconds + _SHUTDOWN_GRACE_S, self._end_process)
        timer.daemon = True
        timer.start()
        super().handle_exit(sig, frame)

    def _end_process(self) -> None:
        _LOG.critical("accepted requests are not finished in time; the service ends without them")
        self._service.decoders.close()
        os._exit(1)


def _exit(*_: object) -> NoReturn:
    raise SystemExit(0)


def create_app(service: Service) -> FastAPI:
    """Returns the application; its workers start with it and finish their queues when it stops."""

    @asynccontextmanager
    async def run_workers(_: FastAPI) -> AsyncIterator[None]:
        service.decoders.start()
        for worker in service.workers.values():
            worker.start()
        yield
        for worker in service.workers.values():
            await run_sync(worker.stop)
        service.decoders.close()

    app = FastAPI(
        title="RSGNet",
        summary="Everyone's pose in crowded images.",
        version=version("rsgnet"),
        lifespan=run_workers,
        docs_url=None,  # FastAPI's pages load scripts from other sites; /api.html is the page's own
        redoc_url=None,
    )
    _add_pose_routes(app, service)
    _add_crowd_route(app, service)
    _add_status_routes(app, service)
    _add_error_handlers(app)
    app.add_middleware(ForeignSiteMiddleware, host_names=None if service.token else service.host_names)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    mimetypes.add_type("text/javascript", ".js")  # some systems say text/plain, which browsers refuse to run
    methods = {route.path: route.methods or set() for route in app.routes if isinstance(route, APIRoute)}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> RedirectResponse:
        return RedirectResponse("api.html")

    app.mount("/", PageFiles(methods))
    return app


class PageFiles(StaticFiles):
    """The files of the page. A wrong method of a path of the API gets 405, though no file is there.

    Args:
        methods: The methods of each path of the API.
    """

    def __init__(self, methods: Mapping[str, set[str]]) -> None:
        super().__init__(directory=PAGE, html=True)
        self._methods = methods

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """Returns a file; raises HTTPException where there is none."""
        allowed = self._methods.get(f"/{path}")
        if allowed is not None:
            listed = ", ".join(sorted(allowed))
            raise HTTPException(405, f"/{path} takes {listed}, not {scope['method']}", {"allow": listed})
        return await super().get_response(path, scope)


def _add_pose_routes(app: FastAPI, service: Service) -> None:
    limits, with_token = service.limits, [Depends(require_token(service.token))]
    held_bytes = HeldBytes(limits)

    @app.get("/v1/about", dependencies=with_token, summary="Weights and limits")
    async def about() -> AboutResponse:
        return AboutResponse(version("rsgnet"), list(service.workers), limits)

    @app.post(
        "/v1/poses",
        dependencies=with_token,
        summary="Everyone's keypoints in one or several images",
        response_model=PosesResponse,
        response_model_exclude_none=True,
        openapi_extra=FORM_SCHEMA,
        responses={
            **_REFUSALS,
            400: {"model": ErrorResponse, "description": "The form is broken, or holds too much."},
            404: {"model": ErrorResponse, "description": "This service has no such weights."},
            408: {"model": ErrorResponse, "description": "The request arrives too slowly."},
            413: {"model": ErrorResponse, "description": "The request is too large."},
            415: {"model": ErrorResponse, "description": "The request is not a form."},
            422: {"model": PosesResponse | ErrorResponse, "description": "Nothing of the request can be used."},
            500: {"model": ErrorResponse, "description": "The network failed on the request; send it again."},
            504: {"model": ErrorResponse, "description": "The request took too long."},
        },
    )
    async def poses(
        request: Request,
        response: Response,
        candidates: Annotated[
            bool, Query(description="List the candidates of each keypoint: x, y, height, relation to the person.")
        ] = False,
        weights: Annotated[str | None, Query(description="One of /v1/about's weights; default: the first.")] = None,
    ) -> PosesResponse:
        name = next(iter(service.workers)) if weights is None else weights
        if name not in service.workers:
            raise HTTPException(404, f"no weights {name!r} here; there are {', '.join(service.workers)}")
        worker, client = service.workers[name], client_of(request)
        worker.check_capacity(1, client)
        with anyio.fail_after(limits.seconds), held_bytes.request(client) as reserve:
            images = await read_images(request, limits, reserve)
            futures = [asyncio.wrap_future(future) for future in worker.submit(images, client)]
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
        image_responses = []
        for image, outcome in zip(images, outcomes, strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, RSGNetError):
                raise outcome
            service.metrics.count_image(None if isinstance(outcome, RSGNetError) else len(outcome))
            image_responses.append(build_image_response(image.file_name, outcome, candidates))
        body = build_poses_response(name, worker.skeleton, image_responses)
        response.status_code = 200 if body.error is None else 422
        return body


def _add_crowd_route(app: FastAPI, service: Service) -> None:
    @app.get(
        "/v1/crowd",
        dependencies=[Depends(require_token(service.token))],
        summary="A drawn crowd: its image, or its annotations",
        response_class=Response,
        responses={**_REFUSALS, 200: {"content": {"image/png": {}, "application/json": {}}}},
    )
    async def crowd(
        crowd_index: Annotated[
            float, Query(ge=0, le=HIGHEST_CROWD_INDEX, description="CrowdPose's crowd index; met to 0.05.")
        ] = 0.5,
        seed: Annotated[int, Query(ge=0, lt=2**31, description="The same seed gives the same crowd.")] = 0,
        truth: Annotated[bool, Query(description="Return the COCO annotations instead of the image.")] = False,
    ) -> Response:
        with anyio.fail_after(service.limits.seconds):
            drawn = await service.render_crowd(crowd_index, seed)
        if truth:
            return Response(drawn.truth, media_type="application/json")
        return Response(drawn.png, media_type="image/png")


def _add_status_routes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", summary="Whether the process responds")
    async def healthz() -> StatusResponse:
        return StatusResponse("ok")

    @app.get("/readyz", summary="Whether images are processed", responses={503: {"model": StatusResponse}})
    async def readyz(response: Response) -> StatusResponse:
        not_ready = [name for name, worker in service.workers.items() if not worker.is_ready]
        response.status_code = 503 if not_ready else 200
        return StatusResponse(f"not ready: {', '.join(not_ready)}" if not_ready else "ok")

    @app.get(
        "/metrics",
        dependencies=[Depends(require_token(service.token))],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_error_handlers(app: FastAPI) -> None:
    """Makes every error an `ErrorResponse`."""

    def respond(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": message}, status, dict(headers or {}))

    def add(error_class: type[Exception], status: int, message: str = "") -> None:
        app.add_exception_handler(error_class, lambda _, error: respond(status, message or str(error)))

    add(RSGNetError, 422)
    add(WorkerCrashError, 500)
    add(Exception, 500, "the service failed on this request; its log says why")
    add(ClientDisconnect, 400, "the client hung up")
    add(TimeoutError, 504, "this took longer than a request may; send fewer or smaller images, or try again later")

    @app.exception_handler(StarletteHTTPException)
    async def http_error(_: Request, error: StarletteHTTPException) -> JSONResponse:
        return respond(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(BusyError)
    async def busy(_: Request, error: BusyError) -> JSONResponse:
        return respond(503, str(error), {"retry-after": str(error.retry_after_s)})

    @app.exception_handler(RequestValidationError)
    async def invalid_parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return respond(422, "; ".join(faults))
