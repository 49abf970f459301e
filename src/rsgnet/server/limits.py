"""How much one service takes on: what keeps a stranger's request from harming the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from rsgnet.errors import RSGNetError
from rsgnet.inference.boxes import Boxes, Photo
from rsgnet.inference.detector import Detector


@dataclass(frozen=True)
class Limits:
    """What is refused, and what waits.

    Attributes:
        request_bytes: Of a whole request.
        pixels: Of an image.
        images: In a request.
        people: In an image.
        seconds: That a request may take, from its first byte to its answer.
        waiting: Images that may wait for the network; beyond it requests are turned away.
        held_bytes: Of all requests together that are coming in or wait; beyond it requests are turned away.
        connections: At once; beyond it clients are turned away.
        batch: Images that go through the network together, of however many clients.

    Raises:
        RSGNetError: One of them is not positive, or a request could never be taken.
    """

    request_bytes: int = 32_000_000
    pixels: int = 64_000_000
    images: int = 16
    people: int = 200
    seconds: float = 60.0
    waiting: int = 64
    held_bytes: int = 512_000_000
    connections: int = 512
    batch: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise RSGNetError(f"limits: {field.name} must be positive, not {getattr(self, field.name)}")
        if self.waiting < self.images:
            raise RSGNetError(
                f"limits: {self.waiting} images may wait, so a request of {self.images} could never be taken"
            )
        if self.held_bytes < self.request_bytes:
            raise RSGNetError(
                f"limits: {self.held_bytes} bytes may be held, so one request of {self.request_bytes} never could"
            )


class BoundedDetector:
    """A detector whose images are refused where it finds more people than are allowed.

    Args:
        detector: Finds them.
        people: How many are allowed in an image.
    """

    def __init__(self, detector: Detector, people: int) -> None:
        self.detector, self.people = detector, people

    def detect(self, photos: Sequence[Photo]) -> list[Boxes]:
        """The detector's boxes.

        Raises:
            RSGNetError: There are too many in one of the images.
        """
        found = self.detector.detect(photos)
        for photo, boxes in zip(photos, found, strict=True):
            if len(boxes) > self.people:
                raise RSGNetError(
                    f"{photo.file_name}: {len(boxes)} people are over the limit of {self.people}; send parts of it"
                )
        return found
