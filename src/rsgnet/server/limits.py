"""The limits of one service, and the detector that enforces the number of people in an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage
from rsgnet.inference.sources import CHUNK_PIXELS


@dataclass(frozen=True)
class Limits:
    """How much one service accepts at a time. Requests beyond a limit are refused.

    Attributes:
        request_bytes: Bytes of one request.
        pixels: Pixels of one image.
        images: Images in one request.
        people: People in one image.
        seconds: Time that one request may take, from its first byte to its response.
        decode_seconds: Time that the decoding of one image may take.
        waiting: Images that may wait for the network.
        held_bytes: Bytes of all requests together that are being received or wait.
        connections: Simultaneous connections.
        connections_per_address: Simultaneous connections from one address.
        batch: Images, of any number of clients, that go through the network together.

    Raises:
        RSGNetError: A limit is not positive, or a request of the largest allowed size could never be accepted.
    """

    request_bytes: int = 32_000_000
    pixels: int = 64_000_000
    images: int = 16
    people: int = 200
    seconds: float = 60.0
    decode_seconds: float = 10.0
    waiting: int = 64
    held_bytes: int = 512_000_000
    connections: int = 512
    connections_per_address: int = 128
    batch: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise RSGNetError(f"limits: {field.name} must be positive, not {getattr(self, field.name)}")
        if self.waiting < self.images:
            raise RSGNetError(
                f"limits: {self.waiting} images may wait, so a request of {self.images} could never be accepted"
            )
        if self.held_bytes < self.request_bytes:
            raise RSGNetError(
                f"limits: {self.held_bytes} bytes may be held, so a request of {self.request_bytes} could never be "
                "accepted"
            )

    @property
    def waiting_per_client(self) -> int:
        """Images of one client that may wait, so that others find room."""
        return max(self.waiting // 2, self.images)

    @property
    def held_bytes_per_client(self) -> int:
        """Bytes of one client's requests that may be held, so that others find room."""
        return max(self.held_bytes // 2, self.request_bytes)

    @property
    def decoded_pixels(self) -> int:
        """Pixels of all decoded images together; where there are more, decoding waits."""
        return max(2 * self.pixels, CHUNK_PIXELS)


class PeopleLimitDetector(Detector):
    """A detector that refuses images in which another detector finds too many people.

    Args:
        detector: Finds the people.
        people: How many people an image may show.
    """

    def __init__(self, detector: Detector, people: int) -> None:
        self.detector, self.people = detector, people
        self.name, self.threshold, self.path = detector.name, detector.threshold, detector.path

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        """Returns the boxes of the wrapped detector.

        Raises:
            RSGNetError: An image shows more people than the limit.
        """
        found = self.detector.detect(images)
        for image, boxes in zip(images, found, strict=True):
            if len(boxes) > self.people:
                raise RSGNetError(
                    f"{image.file_name}: {len(boxes)} people are over the limit of {self.people}; send parts of it"
                )
        return found
