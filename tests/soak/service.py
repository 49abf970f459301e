"""The service's network, which fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.soak.outcome import Outcome

from rsgnet.crowds.data_sets import write_crowds
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import SentImage
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.worker import Worker, WorkerCrash

PATIENCE_S = 300


def network_crashes(folder: Path, short: bool) -> Outcome:
    """Lets the network fail on every third batch; what was in it is sent again, and all is answered in the end."""
    crowd = write_crowds(folder / "sent", scenes=3, seed=0, crowd_index=(0.0, 0.3))
    sent = sorted((crowd.parent / "images").iterdir())
    logging.getLogger("rsgnet.server").setLevel(logging.CRITICAL)  # it tells of each crash at length
    worker = Worker(_failing(whole := PoseEstimator("nano", "full")), Limits(), Metrics())
    worker.start()
    crashes, wrong = 0, 0
    for number in range(6 if short else 30):
        image = sent[number % len(sent)]
        expected = whole(image).to_coco()
        while True:
            (answer,) = worker.submit([SentImage(image.read_bytes(), image.name)])
            failed = answer.exception(PATIENCE_S)
            if failed is None:
                found = answer.result().to_coco()
                wrong += [each["keypoints"] for each in found] != [each["keypoints"] for each in expected]
                break
            if not isinstance(failed, WorkerCrash):
                return Outcome("a crash of the service's network", crashes, repr(failed))
            crashes += 1
    worker.stop()
    tried = "crash of the service's network, opened anew; what was in its batch told, and sent again"
    return Outcome(tried, crashes, f"{wrong} answers" if wrong or not crashes else "")


def _failing(whole: PoseEstimator) -> Any:
    """Opens estimators that fail on the third batch of all, the sixth, and so on."""
    batches = 0

    class Failing:
        skeleton = whole.skeleton

        def stream(self, sources: Iterable[SentImage]) -> Iterator[Any]:
            nonlocal batches
            batches += 1
            if batches % 3 == 0:
                raise RuntimeError("the network failed")
            return whole.stream(sources)

    return Failing
