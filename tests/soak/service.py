"""A service whose network fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import UploadedImage
from rsgnet.server.decoding import Decoders
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.worker import Worker, WorkerCrashError

TIMEOUT_S = 300


def crash_network(folder: Path, short: bool) -> Outcome:
    """Lets the network fail on every third batch; its images are sent again, and all must be answered in the end."""
    crowd = write_crowds(folder / "sent", scenes=3, seed=0, crowd_index=(0.0, 0.3))
    images = sorted((crowd.parent / "images").iterdir())
    logging.getLogger("rsgnet.server").setLevel(logging.CRITICAL)  # hides the traceback of each crash
    estimator = PoseEstimator("nano", "full")
    decoders = Decoders(Limits())
    worker = Worker(_make_crashing(estimator), decoders, Limits(), Metrics())
    decoders.start()
    worker.start()
    crashes, wrong = 0, 0
    for number in range(6 if short else 30):
        image = images[number % len(images)]
        expected = estimator(image).to_coco()
        while True:
            (future,) = worker.submit([UploadedImage(image.read_bytes(), image.name)])
            error = future.exception(TIMEOUT_S)
            if error is None:
                found = future.result().to_coco()
                wrong += [each["keypoints"] for each in found] != [each["keypoints"] for each in expected]
                break
            if not isinstance(error, WorkerCrashError):
                return Outcome("crashes of the service's network", crashes, repr(error))
            crashes += 1
    worker.stop()
    decoders.close()
    description = "crashes of the service's network, which is opened again; images of its batch sent again"
    return Outcome(description, crashes, f"{wrong} answers" if wrong or not crashes else "")


def _make_crashing(estimator: PoseEstimator) -> Any:
    """Returns a class of estimators that fail on every third batch, counted over all of them."""
    batches = 0

    class CrashingEstimator:
        skeleton = estimator.skeleton

        def stream(self, sources: Iterable[LoadedImage]) -> Iterator[Any]:
            nonlocal batches
            batches += 1
            if batches % 3 == 0:
                raise RuntimeError("the network failed")
            return estimator.stream(sources)

    return CrashingEstimator
