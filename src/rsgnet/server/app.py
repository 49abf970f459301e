"""The HTTP application: its routes, and how what goes wrong is told."""

from __future__ import annotations

import asyncio
import mimetypes
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import anyio
import uvicorn
from anyio.to_thread import run_sync
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

from rsgnet.errors import RSGNetError
from rsgnet.server.answers import (
    AboutAnswer,
    ErrorAnswer,
    PosesAnswer,
    StateAnswer,
    about_answer,
    image_answer,
    poses_answer,
)
from rsgnet.server.crowd import HIGHEST_CROWD_INDEX, CrowdPainter
from rsgnet.server.limits import Guarded, Limits, bearer_check, bounded_protocol
from rsgnet.server.metrics import Counted, Metrics
from rsgnet.server.uploads import FORM_SCHEMA, Held, read_images
from rsgnet.server.worker import Busy, Worker, WorkerCrash

PAGE = Path(__file__).parent / "page"
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorAnswer, "description": "The token is missing or wrong."},
    422: {"model": ErrorAnswer, "description": "The request cannot be used."},
    503: {"model": ErrorAnswer, "description": "Too busy; try again after Retry-After seconds."},
}


@dataclass(frozen=True)
class Service:
    """What the application is made of.

    Attributes:
        workers: By the names of their weights; the first is asked where a client names none.
        limits: What is refused.
        metrics: What is counted.
        token: What clients must show, None for nothing.
        paint: Draws crowds for the page.
    """

    workers: Mapping[str, Worker]
    limits: Limits
    metrics: Metrics
    token: str | None = None
    paint: CrowdPainter = field(default_factory=CrowdPainter)


def create_app(service: Service) -> FastAPI:
    """The application of a service; its workers run while the application does, and finish what they took."""

    @asynccontextmanager
    async def working(_: FastAPI) -> AsyncIterator[None]:
        for worker in service.workers.values():
            worker.start()
        yield
        for worker in service.workers.values():
            await run_sync(worker.stop)

    app = FastAPI(
        title="RSGNet",
        summary="Everyone's pose in crowded images.",
        version=version("rsgnet"),
        lifespan=working,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; /api.html is the page's own
        redoc_url=None,
    )
    _add_poses(app, service)
    _add_crowd(app, service)
    _add_states(app, service)
    _add_errors(app)
    app.add_middleware(Guarded)
    app.add_middleware(Counted, metrics=service.metrics)
    mimetypes.add_type("text/javascript", ".js")  # some systems know it as text/plain, which browsers refuse to run
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def _add_poses(app: FastAPI, service: Service) -> None:
    limits, allowed, held = service.limits, [Depends(bearer_check(service.token))], Held(service.limits.held_bytes)

    @app.get("/v1/about", dependencies=allowed, summary="Weights and limits")
    async def about() -> AboutAnswer:
        return about_answer(service.workers, limits)

    @app.post(
        "/v1/poses",
        dependencies=allowed,
        summary="Everyone's keypoints in one or several images",
        response_model=PosesAnswer,
        response_model_exclude_none=True,
        openapi_extra=FORM_SCHEMA,
        responses={
            **_REFUSALS,
            400: {"model": ErrorAnswer, "description": "The form is broken, or holds too much."},
            404: {"model": ErrorAnswer, "description": "There are no such weights here."},
            413: {"model": ErrorAnswer, "description": "The request is too large."},
            415: {"model": ErrorAnswer, "description": "The request is no form."},
            422: {
                "model": PosesAnswer | ErrorAnswer,
                "description": "Nothing of the request can be used.",
            },
            500: {"model": ErrorAnswer, "description": "The network failed on it; send it again."},
            504: {"model": ErrorAnswer, "description": "It took too long."},
        },
    )
    async def poses(
        request: Request,
        response: Response,
        candidates: Annotated[
            bool, Query(description="Tell what competed for each keypoint: x, y, height, relation to the person.")
        ] = False,
        weights: Annotated[str | None, Query(description="One of /v1/about's; the first if none is named.")] = None,
    ) -> PosesAnswer:
        name = next(iter(service.workers)) if weights is None else weights
        if name not in service.workers:
            raise HTTPException(404, f"no weights {name!r} here; there are {', '.join(service.workers)}")
        worker = service.workers[name]
        worker.check_room(1)
        with anyio.fail_after(limits.seconds), held.request() as take:
            images = await read_images(request, limits, take)
            answers = [asyncio.wrap_future(future) for future in worker.submit(images)]
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
        told = []
        for image, outcome in zip(images, outcomes, strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, RSGNetError):
                raise outcome
            service.metrics.image_done(None if isinstance(outcome, RSGNetError) else len(outcome))
            told.append(image_answer(image.file_name, outcome, candidates))
        answer = poses_answer(name, worker.skeleton, told)
        response.status_code = 200 if answer.error is None else 422
        return answer


def _add_crowd(app: FastAPI, service: Service) -> None:
    @app.get(
        "/v1/crowd",
        dependencies=[Depends(bearer_check(service.token))],
        summary="A drawn crowd to play with: its image, or the truth about it",
        response_class=Response,
        responses={**_REFUSALS, 200: {"content": {"image/png": {}, "application/json": {}}}},
    )
    def crowd(
        crowd_index: Annotated[
            float, Query(ge=0, le=HIGHEST_CROWD_INDEX, description="CrowdPose's index; met to 0.05.")
        ] = 0.5,
        seed: Annotated[int, Query(ge=0, lt=2**31, description="The same seed gives the same crowd.")] = 0,
        truth: Annotated[bool, Query(description="Give the COCO annotations in place of the image.")] = False,
    ) -> Response:
        drawn = service.paint(crowd_index, seed)
        if truth:
            return Response(drawn.truth, media_type="application/json")
        return Response(drawn.png, media_type="image/png")


def _add_states(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", summary="Whether the process answers")
    async def healthz() -> StateAnswer:
        return StateAnswer("ok")

    @app.get("/readyz", summary="Whether images are worked on", responses={503: {"model": StateAnswer}})
    async def readyz(response: Response) -> StateAnswer:
        waits = [name for name, worker in service.workers.items() if not worker.ready]
        response.status_code = 503 if waits else 200
        return StateAnswer(f"not ready: {', '.join(waits)}" if waits else "ok")

    @app.get(
        "/metrics",
        dependencies=[Depends(bearer_check(service.token))],
        summary="Counts, for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_errors(app: FastAPI) -> None:
    """Whatever goes wrong is told as `ErrorAnswer`."""

    def tell(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": message}, status, dict(headers or {}))

    @app.exception_handler(AnyHTTPException)
    async def refused(_: Request, error: AnyHTTPException) -> JSONResponse:
        return tell(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return tell(422, "; ".join(faults))

    @app.exception_handler(RSGNetError)
    async def unusable(_: Request, error: RSGNetError) -> JSONResponse:
        return tell(422, str(error))

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return tell(503, str(error), {"retry-after": str(error.retry_after_s)})

    @app.exception_handler(TimeoutError)
    async def late(_: Request, __: TimeoutError) -> JSONResponse:
        return tell(504, "this took longer than a request may; send fewer or smaller images, or try again later")

    @app.exception_handler(WorkerCrash)
    async def crashed(_: Request, error: WorkerCrash) -> JSONResponse:
        return tell(500, str(error))

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> JSONResponse:
        return tell(400, "the client hung up")

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        return tell(500, "the service failed on this request; its log says why")


_GRACE_S = 5.0  # beyond the time a request may take


def run(service: Service, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM; then takes nothing more, finishes what was taken, and exits with 0.

    Args:
        service: What to serve.
        host: The address to listen on.
        port: Its port; 0 is any that is free, and the log names it.

    Raises:
        SystemExit: Always.
    """
    config = uvicorn.Config(
        create_app(service),
        host,
        port,
        server_header=False,
        http=bounded_protocol(service.limits),
        ws="none",
        timeout_graceful_shutdown=round(service.limits.seconds + _GRACE_S),
    )
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _leave)  # the server sends itself the signal again when it has stopped
    uvicorn.Server(config).run()


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
