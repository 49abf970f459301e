"""The whole line: images in, everyone's keypoints out.

read -> detect -> crop -> network (and its mirror image) -> decode -> score -> suppress -> whose is what -> Poses
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from rsgnet.config_files import CONFIG_FILE
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.images import MAX_PIXELS
from rsgnet.inference.crop_poses import find_in_crops
from rsgnet.inference.crops import Crop, cut
from rsgnet.inference.decode import owned_scores, pose_scores
from rsgnet.inference.detectors.boxes import Boxes, Detector, LoadedImage
from rsgnet.inference.detectors.detector import open_detector
from rsgnet.inference.nms import oks_nms
from rsgnet.inference.ownership import CROP_FEATURES, Evidence, Ownership, find_contests, with_contests
from rsgnet.inference.runtime.network import AnyRunner, flip_test_of, open_runner
from rsgnet.inference.sources import in_chunks, read_ahead
from rsgnet.inference.weights import fetch, find_weights, push, shipped_names
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17, Skeleton, skeleton_named

Source = TypeVar("Source")
_Job = tuple[LoadedImage, NDArray[np.float64]]
_WORKERS = 4


@dataclass(frozen=True, eq=False)
class _Person:
    """What was found in one box, in the network's skeleton: places and candidates in the image, and about them."""

    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    evidence: Evidence
    candidates: NDArray[np.float32]
    area: float


class PoseEstimator:
    """Estimates the poses of everyone in images.

        poses = PoseEstimator("nano")("crowd.jpg")
        poses.draw().save("overlay.jpg")

    Args:
        weights: A shipped name ("nano"), a model directory, an .onnx file (.xml for OpenVINO) or "hub:USER/MODEL"; or a
            runner of your own.
        detector: How people are found: "nano" (shipped), "onnx:PATH", "torchvision", "boxes:PATH", "full"; or an object
            with `detect(photos) -> list[Boxes]`.
        device: "auto", "cpu" or "cuda".
        backend: "onnx" (ONNX Runtime), "torch" (PyTorch) or "openvino".
        flip_test: Whether heatmaps are averaged with those of the mirrored crop; as the weights say where None.
        batch_size: How many crops the network gets at once, of however many people and images.
        skeleton: Which keypoints come out, by name or as a Skeleton; where None coco17 if the network predicts all of
            it, else the network's own.
        max_pixels: Image files with more pixels than this are refused.
        box_threshold: People whom a detector's network scores less than this are left out; as suits it where None.
        precision: What the pose network reckons in: "float32"; "bf16" in PyTorch and OpenVINO; "int8" in OpenVINO.

    Raises:
        RSGNetError: The weights or the detector cannot be opened, or an argument is none of the above.
    """

    def __init__(
        self,
        weights: str | Path | AnyRunner = "nano",
        detector: str | Detector = "nano",
        *,
        device: str = "auto",
        backend: str = "onnx",
        flip_test: bool | None = None,
        batch_size: int = 32,
        skeleton: str | Skeleton | None = None,
        max_pixels: int = MAX_PIXELS,
        box_threshold: float | None = None,
        precision: str = "float32",
    ) -> None:
        if batch_size < 1 or max_pixels < 1:
            raise RSGNetError(f"batch_size and max_pixels must be positive, not {batch_size} and {max_pixels}")
        self.backend, self.precision = "", ""
        if isinstance(weights, (str, Path)):
            weights = open_runner(weights, backend, device, precision=precision)
            self.backend, self.precision = backend, precision
        if isinstance(detector, str):
            detector = open_detector(detector, device, box_threshold, backend)
        self.runner, self.detector = weights, detector
        self.batch_size, self.max_pixels = batch_size, max_pixels
        self.config = self.runner.config
        self.flip_test = flip_test_of(self.runner, flip_test)
        self._predicted = skeleton_named(self.config.model.skeleton)
        self.skeleton = _output_skeleton(skeleton, self._predicted)
        self._columns = self.skeleton.indices_in(self._predicted)
        self._ownership: Ownership | None = getattr(self.runner, "ownership", None)
        self._gathers = self._ownership is not None or getattr(self.runner, "gives_candidates", False)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, revision: str | None = None, token: str | None = None, **options: Any
    ) -> PoseEstimator:
        """Opens weights of the Hugging Face Hub, or as a call of the class does: a directory, a file, a shipped name.

        Args:
            name_or_path: `USER/MODEL` (needs rsgnet[hub]), or what is here already, which goes first.
            revision: Of the hub: a branch, tag or commit.
            token: Of the hub: for models that are not public.
            options: As for the class. Without `backend` ONNX Runtime runs what was exported for it, else PyTorch does.

        Raises:
            WeightsError: There are no such weights, the hub cannot be reached, or they are broken.
            RSGNetError: A library is missing, or an option is none.
        """
        here = Path(name_or_path).exists() or str(name_or_path) in shipped_names()
        files = find_weights(name_or_path if here else fetch(str(name_or_path), revision, token))
        options.setdefault("backend", "onnx" if files.onnx.is_file() else "torch")
        return cls(files.origin, **options)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        license: str | None = None,
        private: bool | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> str:
        """Uploads the weights' model directory to the Hugging Face Hub; arguments and answer as for `hub.push`.

        Raises:
            RSGNetError: The weights came from no model directory, or as `hub.push` raises.
        """
        path: Path | None = getattr(self.runner, "path", None)
        if path is None or not (path.parent / CONFIG_FILE).is_file():
            raise RSGNetError("push_to_hub uploads a model directory; these weights came from none")
        return push(path.parent, repo_id, license=license, private=private, revision=revision, token=token)

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...]) -> list[Poses]: ...
    @overload
    def __call__(self, images: Any) -> Poses: ...
    def __call__(self, images: Any) -> Poses | list[Poses]:
        """The poses in one image, or in each of a list of images.

        Args:
            images: A path, a PIL image, an RGB array (H, W, 3) or a tensor (3, H, W); or a list or tuple of these.

        Returns:
            The people of the image, surest first, with the image kept for `draw`; a list for a list.

        Raises:
            ImageError: An image cannot be read. `stream` goes on with the others instead.
        """
        several = isinstance(images, (list, tuple))
        poses = []
        for _, result in self.stream(images if several else [images]):
            if isinstance(result, RSGNetError):
                raise result
            poses.append(result)
        return poses if several else poses[0]

    def stream(self, sources: Iterable[Source]) -> Iterator[tuple[Source, Poses | RSGNetError]]:
        """Goes through any number of images in bounded memory.

        Args:
            sources: Images as in a call, `LoadedImage`s, or anything `Readable`: `ImageFile`s and `SentImage`s are.

        Yields:
            Each source, in order, with its poses, or with the error that kept it from having any.
        """
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="rsgnet")
        try:
            for chunk in in_chunks(read_ahead(sources, pool, self.max_pixels)):
                photos = [photo for _, photo in chunk if isinstance(photo, LoadedImage)]
                results = iter(self._estimate(photos, pool))
                for source, photo in chunk:
                    yield source, next(results) if isinstance(photo, LoadedImage) else photo
        finally:
            pool.shutdown(cancel_futures=True)

    def _estimate(self, photos: Sequence[LoadedImage], pool: ThreadPoolExecutor) -> list[Poses | RSGNetError]:
        """The poses of images whose crops are batched together."""
        found = self._boxes(photos)
        jobs = [
            (photo, box)
            for photo, boxes in zip(photos, found, strict=True)
            if isinstance(boxes, Boxes)
            for box in boxes.boxes_xyxy
        ]
        people = self._people(jobs, pool)
        results: list[Poses | RSGNetError] = []
        for photo, boxes in zip(photos, found, strict=True):
            own = (
                boxes if isinstance(boxes, RSGNetError) else self._poses(photo, boxes, list(islice(people, len(boxes))))
            )
            results.append(own)
        return results

    def _boxes(self, photos: Sequence[LoadedImage]) -> list[Boxes | RSGNetError]:
        """Each image's boxes: those known beforehand, or as the detector finds them."""
        found = iter(self._detect([photo for photo in photos if photo.boxes is None]))
        return [next(found) if photo.boxes is None else photo.boxes.inside(photo.size_wh) for photo in photos]

    def _detect(self, photos: Sequence[LoadedImage]) -> list[Boxes | RSGNetError]:
        if not photos:
            return []
        try:
            found = self.detector.detect(photos)
        except RSGNetError as error:
            if len(photos) == 1:
                return [error]
            return [boxes for photo in photos for boxes in self._detect([photo])]
        return [boxes.inside(photo.size_wh) for photo, boxes in zip(photos, found, strict=True)]

    def _people(self, jobs: Sequence[_Job], pool: ThreadPoolExecutor) -> Iterator[_Person]:
        """What was found in each box."""
        for crops in self._crops(jobs, pool):
            found = find_in_crops(self.runner, self.config, crops, self.flip_test, self._gathers)
            areas = (crop.area for crop in crops)
            yield from map(_Person, found.keypoints_xy, found.scores, found.evidence, found.candidates, areas)

    def _crops(self, jobs: Sequence[_Job], pool: ThreadPoolExecutor) -> Iterator[list[Crop]]:
        """Batches of crops, the next one being cut while the caller works on one."""

        def cutting(start: int) -> Iterator[Crop]:
            batch = jobs[start : start + self.batch_size]
            return pool.map(lambda job: cut(job[0].pixels, job[1], self.config.crop), batch)

        coming = cutting(0)
        for start in range(0, len(jobs), self.batch_size):
            crops, coming = list(coming), cutting(start + self.batch_size)
            yield crops

    def _poses(self, photo: LoadedImage, boxes: Boxes, people: Sequence[_Person]) -> Poses:
        decode, count = self.config.decode, len(self._predicted)
        places = np.array([person.keypoints_xy for person in people], np.float32).reshape(-1, count, 2)
        heights = np.array([person.scores for person in people], np.float32).reshape(-1, count)
        scores = heights[:, self._columns]
        totals = pose_scores(boxes.scores, scores, decode.keypoint_threshold)
        areas = np.array([person.area for person in people])
        kept = oks_nms(places[:, self._columns], totals, areas, self.skeleton.sigmas, decode.nms_threshold)
        claims = self._claims(places[kept], heights[kept], boxes.boxes_xyxy[kept], [people[index] for index in kept])
        totals = totals[kept]
        if claims:
            totals = owned_scores(boxes.scores[kept], claims["present"], claims["owned"])
        poses = Poses(
            skeleton=self.skeleton,
            keypoints_xy=places[kept][:, self._columns],
            scores=scores[kept],
            boxes_xyxy=boxes.boxes_xyxy[kept].astype(np.float32),
            box_scores=boxes.scores[kept].astype(np.float32),
            pose_scores=totals.astype(np.float32),
            size_wh=photo.size_wh,
            file_name=photo.file_name,
            image_id=boxes.image_id,
            image=photo.pixels,
            candidates=self._candidates([people[index] for index in kept]),
            **claims,
        )
        return poses[np.argsort(-poses.pose_scores, kind="stable")]

    def _candidates(self, people: Sequence[_Person]) -> NDArray[np.float32] | None:
        """Those of an image's people; None without a network that gives them."""
        table = np.array([person.candidates for person in people], np.float32)
        return table[:, self._columns] if table.size else None

    def _claims(
        self, places: NDArray[np.float32], heights: NDArray[np.float32], boxes: Floats, people: Sequence[_Person]
    ) -> dict[str, Any]:
        """The probabilities and rivals of an image's people by their names in Poses; none without an ownership fit."""
        if self._ownership is None:
            return {}
        contests = find_contests(places, heights, boxes, self._predicted)
        own = np.array([person.evidence for person in people]).reshape(*heights.shape, len(CROP_FEATURES))
        told = self._ownership(with_contests(own, contests))
        told["rival_owned"] = contests.of_rivals(told["owned"])
        claims: dict[str, Any] = {name: values[:, self._columns].astype(np.float32) for name, values in told.items()}
        return {**claims, "rival": contests.rival[:, self._columns]}


def _output_skeleton(wish: str | Skeleton | None, predicted: Skeleton) -> Skeleton:
    if wish is None:
        return COCO17 if (COCO17.indices_in(predicted) >= 0).all() else predicted
    skeleton = skeleton_named(wish) if isinstance(wish, str) else wish
    missing = [
        name for name, found in zip(skeleton.keypoints, skeleton.indices_in(predicted), strict=True) if found < 0
    ]
    if missing:
        raise RSGNetError(
            f"these weights predict {predicted.name}, which has no {', '.join(missing)} for {skeleton.name}"
        )
    return skeleton
