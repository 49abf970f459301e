"""A service whose estimator finds what the test wants, when the test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the service needs rsgnet[serve]")

from fastapi.testclient import TestClient

from rsgnet.errors import RSGNetError
from rsgnet.poses import Poses
from rsgnet.server.app import Service, create_app
from rsgnet.server.decoding import Decoders
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.worker import Worker
from rsgnet.skeletons import COCO17

TIMEOUT_S = 120.0  # generous, because other work may slow the machine down
SIZE_WH = (320, 240)
LEFT, MIDDLE, RIGHT = 60, 160, 200  # x of the three people; the last two dispute a wrist
WRIST = COCO17.keypoints.index("left_wrist")
_BODY_XY = np.array(
    [
        (0, 20), (5, 16), (-5, 16), (10, 18), (-10, 18), (18, 45), (-18, 45), (22, 75), (-22, 75), (20, 105),
        (-20, 105), (12, 110), (-12, 110), (12, 150), (-12, 150), (12, 190), (-12, 190),
    ]
)  # fmt: skip


def png(size_wh: tuple[int, int] = SIZE_WH) -> bytes:
    """Returns a grey image file."""
    file = BytesIO()
    Image.new("RGB", size_wh, (90, 110, 130)).save(file, "png")
    return file.getvalue()


def three_people(file_name: str, size_wh: tuple[int, int] = SIZE_WH) -> Poses:
    """Returns three people side by side, with probabilities, a rival and candidates."""
    keypoints_xy = np.array([np.add(_BODY_XY, (x, 15)) for x in (LEFT, MIDDLE, RIGHT)], np.float32)
    owned, rival = np.full((3, 17), 0.75, np.float32), np.full((3, 17), -1, np.intp)
    owned[1, WRIST], rival[1, WRIST] = 0.25, 2
    candidates = np.zeros((3, 17, 4, 4), np.float32)
    candidates[:, :, 0] = np.concatenate([keypoints_xy, np.full((3, 17, 1), 0.9), np.full((3, 17, 1), 0.6)], -1)
    candidates[1, :, 1] = np.concatenate([keypoints_xy[2], np.full((17, 1), 0.7), np.full((17, 1), 0.125)], -1)
    return Poses(
        skeleton=COCO17,
        keypoints_xy=keypoints_xy,
        scores=np.full((3, 17), 0.9, np.float32),
        boxes_xyxy=np.array([(x - 35, 20, x + 35, 220) for x in (LEFT, MIDDLE, RIGHT)], np.float32),
        box_scores=np.ones(3, np.float32),
        pose_scores=np.array([0.9, 0.6, 0.3], np.float32),
        size_wh=size_wh,
        file_name=file_name,
        present=np.full((3, 17), 0.9, np.float32),
        visible=np.full((3, 17), 0.8, np.float32),
        owned=owned,
        rival=rival,
        rival_owned=np.where(rival < 0, 0, 0.5).astype(np.float32),
        candidates=candidates,
    )


class FakeEstimator:
    """An estimator that finds three people in every image once its gate is open; it fails on names with "crash".

    Attributes:
        order: The order in which it returns the three people.
        gate: The estimator waits until it is set.
        started: Set once the first batch has arrived.
        batches: The file names of each batch.
        boxes: The boxes that came with each image.
    """

    skeleton = COCO17
    order = (0, 1, 2)

    def __init__(self) -> None:
        self.gate, self.started = Event(), Event()
        self.batches: list[list[str]] = []
        self.boxes: list[Any] = []
        self.gate.set()

    def stream(self, sources: Any) -> Iterator[tuple[Any, Poses | RSGNetError]]:
        """Does what `PoseEstimator.stream` does."""
        sources = list(sources)
        self.batches.append([source.file_name for source in sources])
        self.boxes += [source.boxes for source in sources]
        self.started.set()
        assert self.gate.wait(TIMEOUT_S)
        for source in sources:
            if "crash" in source.file_name:
                raise MemoryError("no memory")
            yield source, three_people(source.file_name, source.size_wh)[list(self.order)]


@pytest.fixture
def estimator() -> Iterator[FakeEstimator]:
    """The estimator of the test's service; its gate is opened at the end."""
    estimator = FakeEstimator()
    yield estimator
    estimator.gate.set()


@pytest.fixture
def service(estimator: FakeEstimator) -> Callable[..., Service]:
    """Makes a service of that estimator."""

    def make(
        token: str | None = None,
        open_estimator: Callable[[], Any] | None = None,
        compared: FakeEstimator | None = None,
        **limits: Any,
    ) -> Service:
        service_limits, metrics = Limits(**limits), Metrics()
        decoders = Decoders(service_limits, processes=1)  # so that images are decoded in their order
        workers = {"nano": Worker(open_estimator or (lambda: estimator), decoders, service_limits, metrics)}
        if compared is not None:
            workers["plain"] = Worker(lambda: compared, decoders, service_limits, metrics)
        return Service(workers, decoders, service_limits, metrics, token, frozenset({"testserver"}))

    return make


@pytest.fixture
def client(service: Callable[..., Service]) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of such a service, which runs until the test ends."""
    clients = []

    def make(**options: Any) -> TestClient:
        client = TestClient(create_app(service(**options)), raise_server_exceptions=False)
        clients.append(client.__enter__())
        return client

    yield make
    for each in clients:
        each.__exit__(None, None, None)


def files(*names: str, content: bytes | None = None) -> list[tuple[str, tuple[str, bytes]]]:
    """Returns the form of a request; a file whose name says "broken" is not an image."""
    return [("images", (name, b"nothing" if "broken" in name else content or png())) for name in names]
