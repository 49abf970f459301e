"""The whole pipeline: images in, everyone's keypoints out.

read -> detect -> crop -> network (and its mirror image) -> decode -> score -> suppress -> ownership -> Poses
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from rsgnet.config_files import CONFIG_FILE
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import NetworkError, RSGNetError
from rsgnet.geometry import Floats
from rsgnet.images import MAX_PIXELS, RGBImage
from rsgnet.inference.crops import Crop, cut_crop, predict_crops
from rsgnet.inference.decode import score_poses, score_poses_by_ownership
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.hub_upload import upload_to_hub
from rsgnet.inference.nms import oks_nms
from rsgnet.inference.ownership import CROP_FEATURES, Features, add_rival_features, find_rivals
from rsgnet.inference.runtime.engines import choose_engine
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.open_network import choose_backend, open_network
from rsgnet.inference.sources import chunk_images, is_folder, read_ahead
from rsgnet.inference.weights import download_from_hub, find_weights, list_shipped_weights
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17, Skeleton, get_skeleton

Source = TypeVar("Source")
_Float32s = NDArray[np.float32]
_WORKERS = 4  # threads that read images and cut crops


@dataclass(frozen=True, eq=False)
class _PersonPrediction:
    """The pose in one box, in the network's skeleton; the attributes are one row of `CropPredictions`."""

    keypoints_xy: _Float32s
    scores: _Float32s
    features: Features
    candidates: _Float32s
    covariances: _Float32s | None
    crop_area: float


class PoseEstimator:
    """Estimates the poses of everyone in images.

        poses = PoseEstimator()("crowd.jpg")
        poses.draw().save("overlay.jpg")

    Args:
        weights: A shipped name ("small", or "nano", which is faster), a model directory, an .onnx file (.xml for
            OpenVINO) or "hub:USER/MODEL"; a published network as "onnx:FILE[@NETWORK]" or "openvino:FILE[@NETWORK]"; or
            a `PoseNetwork` of your own.
        detector: How people are found: "nano" (shipped), "onnx:PATH", "torchvision", "boxes:PATH", "full"; or a
            `Detector` of your own.
        device: "auto" (a CUDA GPU where there is one), "cpu", "cuda", "cuda:1", or "mps" (PyTorch only).
        backend: "onnx" (ONNX Runtime), "torch" (PyTorch), "openvino", or "auto", the fastest of those installed.
        flip_test: Whether outputs are averaged with those of the mirrored crop; None for what the weights say.
        batch_size: How many crops, of any number of people and images, the network gets at once; on a processor it
            works on a few of them at a time.
        skeleton: The keypoints of the results, by name or as a Skeleton; None for coco17 if the network predicts all of
            it, else the network's own.
        max_pixels: Image files with more pixels than this are refused.
        box_threshold: A detection network drops people whom it scores less than this; None for its own threshold.
        precision: The arithmetic of the pose network: "float32"; "bf16" in PyTorch and OpenVINO; "int8" in OpenVINO;
            or "auto", the fastest that agrees with float32.

    Raises:
        RSGNetError: The weights or the detector cannot be opened, or an argument is none of the above.
    """

    def __init__(
        self,
        weights: str | Path | PoseNetwork = DEFAULT_WEIGHTS,
        detector: str | Detector = DEFAULT_DETECTOR,
        *,
        device: str = "auto",
        backend: str = "auto",
        flip_test: bool | None = None,
        batch_size: int = 32,
        skeleton: str | Skeleton | None = None,
        max_pixels: int = MAX_PIXELS,
        box_threshold: float | None = None,
        precision: str = "auto",
    ) -> None:
        if batch_size < 1 or max_pixels < 1:
            raise RSGNetError(f"batch_size and max_pixels must be positive, not {batch_size} and {max_pixels}")
        self.backend, self.precision = "", ""
        if isinstance(weights, (str, Path)):
            engine = choose_engine(weights, backend, precision, device)
            backend = choose_backend(weights, engine.backend)
            weights = open_network(weights, backend, device, precision=engine.precision)
            self.backend, self.precision = backend, engine.precision
        if isinstance(detector, str):
            detector = open_detector(detector, device, box_threshold, backend)
        self.network, self.detector = weights, detector
        self.batch_size, self.max_pixels = batch_size, max_pixels
        self.config = self.network.config
        self.flip_test = self.network.resolve_flip_test(flip_test)
        self._network_skeleton = get_skeleton(self.config.model.skeleton)
        self.skeleton = _choose_skeleton(skeleton, self._network_skeleton)
        self._columns = self.skeleton.indices_in(self._network_skeleton)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, revision: str | None = None, token: str | None = None, **options: Any
    ) -> PoseEstimator:
        """Opens weights of the Hugging Face Hub, a directory, a file or shipped weights.

        Args:
            name_or_path: `USER/MODEL` (needs rsgnet[hub]), unless it names a path or weights that are here already.
            revision: The hub's branch, tag or commit.
            token: The hub's token, for models that are not public.
            options: The arguments of the class.

        Raises:
            WeightsError: There are no such weights, the hub cannot be reached, or they are broken.
            RSGNetError: A library is missing, or an option is invalid.
        """
        is_here = Path(name_or_path).exists() or str(name_or_path) in list_shipped_weights()
        files = find_weights(name_or_path if is_here else download_from_hub(str(name_or_path), revision, token))
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
        """Uploads the weights' model directory to the Hugging Face Hub, as `upload_to_hub`.

        Raises:
            RSGNetError: The weights came from no model directory, or the upload failed.
        """
        path = self.network.path
        if path is None or not (path.parent / CONFIG_FILE).is_file():
            raise RSGNetError("push_to_hub uploads a model directory; these weights came from none")
        return upload_to_hub(path.parent, repo_id, license=license, private=private, revision=revision, token=token)

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...]) -> list[Poses]: ...
    @overload
    def __call__(self, images: Any) -> Poses: ...
    def __call__(self, images: Any) -> Poses | list[Poses]:
        """Estimates the poses in one image, or in each of a list of images.

        Args:
            images: A path, an http or https address, a PIL image, an RGB array (H, W, 3), an RGBA array (H, W, 4) or a
                tensor (3, H, W); or a list or tuple of these; or a folder, which stands for all images in it.

        Returns:
            The people of the image, highest score first, with the image kept for `draw`; a list for a list or folder.

        Raises:
            ImageError: An image cannot be read. Use `stream` to go on with the other images.
        """
        is_list = isinstance(images, (list, tuple))
        poses = []
        for _, result in self.stream(images if is_list else [images]):
            if isinstance(result, RSGNetError):
                raise result
            poses.append(result)
        return poses if is_list or is_folder(images) else poses[0]

    def stream(self, sources: Iterable[Source]) -> Iterator[tuple[Source, Poses | RSGNetError]]:
        """Estimates the poses in any number of images, in bounded memory.

        Args:
            sources: Images as in a call, folders, `LoadedImage`s, or any `ImageSource`, such as `ImageFile`.

        Yields:
            Each source, in order, with its poses, or with the error that prevented them; a folder once for each of its
            images, which `Poses.file_name` names.

        Raises:
            RSGNetError: `sources` is a single path instead of several sources.
        """
        if isinstance(sources, (str, PathLike)):
            raise RSGNetError(f"stream takes several sources, not one path: pass [{str(sources)!r}]")
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="rsgnet")
        try:
            for chunk in chunk_images(read_ahead(sources, pool, self.max_pixels)):
                images = [image for _, image in chunk if isinstance(image, LoadedImage)]
                results = iter(self._estimate(images, pool))
                for source, image in chunk:
                    yield source, next(results) if isinstance(image, LoadedImage) else image
        finally:
            pool.shutdown(cancel_futures=True)

    def _estimate(self, images: Sequence[LoadedImage], pool: ThreadPoolExecutor) -> list[Poses | RSGNetError]:
        """Runs the pipeline on images whose crops are batched together."""
        boxes = self._find_boxes(images)
        jobs = [
            (image.pixels, box)
            for image, found in zip(images, boxes, strict=True)
            if isinstance(found, Boxes)
            for box in found.boxes_xyxy
        ]
        people = self._predict_people(self._cut_crops(jobs, pool))
        return [
            found if isinstance(found, RSGNetError) else self._to_poses(image, found, list(islice(people, len(found))))
            for image, found in zip(images, boxes, strict=True)
        ]

    def _find_boxes(self, images: Sequence[LoadedImage]) -> list[Boxes | RSGNetError]:
        """Returns the boxes of each image: those that are known beforehand, else those that the detector finds."""
        detected = iter(self._detect([image for image in images if image.boxes is None]))
        return [next(detected) if image.boxes is None else image.boxes.clip_to(image.size_wh) for image in images]

    def _detect(self, images: Sequence[LoadedImage]) -> list[Boxes | RSGNetError]:
        if not images:
            return []
        try:
            boxes = self.detector.detect(images)
        except NetworkError:
            raise  # no image is at fault
        except RSGNetError as error:
            if len(images) == 1:
                return [error.forget_frames()]
            return [result for image in images for result in self._detect([image])]
        if len(boxes) != len(images):
            raise RSGNetError(f"{self.detector.name} returned boxes of {len(boxes)} images for {len(images)} images")
        return [found.clip_to(image.size_wh) for image, found in zip(images, boxes, strict=True)]

    def _cut_crops(self, jobs: Sequence[tuple[RGBImage, Floats]], pool: ThreadPoolExecutor) -> Iterator[list[Crop]]:
        """Yields batches of crops of images and boxes; the next batch is cut while the caller works on one."""

        def cut_batch(start: int) -> Iterator[Crop]:
            batch = jobs[start : start + self.batch_size]
            return pool.map(lambda job: cut_crop(job[0], job[1], self.config.crop), batch)

        coming = cut_batch(0)
        for start in range(0, len(jobs), self.batch_size):
            crops, coming = list(coming), cut_batch(start + self.batch_size)
            yield crops

    def _predict_people(self, batches: Iterable[Sequence[Crop]]) -> Iterator[_PersonPrediction]:
        """Yields what the network predicts for each crop."""
        with_features = self.network.ownership is not None or self.network.capabilities.gives_candidates
        for crops in batches:
            found = predict_crops(self.network, crops, self.flip_test, with_features)
            covariances = repeat(None) if found.covariances is None else found.covariances
            columns = found.keypoints_xy, found.scores, found.features, found.candidates, covariances
            yield from map(_PersonPrediction, *columns, (crop.area for crop in crops))

    def _to_poses(self, image: LoadedImage, boxes: Boxes, people: Sequence[_PersonPrediction]) -> Poses:
        """Scores the people of one image, suppresses duplicates, and computes whose each keypoint is."""
        config, columns, count = self.config.decode, self._columns, len(self._network_skeleton)
        keypoints_xy = np.array([person.keypoints_xy for person in people], np.float32).reshape(-1, count, 2)
        scores = np.array([person.scores for person in people], np.float32).reshape(-1, count)
        areas = np.array([person.crop_area for person in people])
        pose_scores = score_poses(boxes.scores, scores[:, columns], config.keypoint_threshold)
        kept = oks_nms(keypoints_xy[:, columns], pose_scores, areas, self.skeleton.sigmas, config.nms_threshold)
        people = [people[index] for index in kept]
        keypoints_xy, scores, pose_scores = keypoints_xy[kept], scores[kept], pose_scores[kept]
        box_scores, boxes_xyxy = boxes.scores[kept], boxes.boxes_xyxy[kept]
        ownership = self._compute_ownership(keypoints_xy, scores, boxes_xyxy, people)
        if ownership:
            pose_scores = score_poses_by_ownership(box_scores, ownership["present"], ownership["owned"])
        candidates = np.array([person.candidates for person in people], np.float32)
        spreads = [person.covariances for person in people if person.covariances is not None]
        poses = Poses(
            skeleton=self.skeleton,
            keypoints_xy=keypoints_xy[:, columns],
            scores=scores[:, columns],
            boxes_xyxy=boxes_xyxy.astype(np.float32),
            box_scores=box_scores.astype(np.float32),
            pose_scores=pose_scores.astype(np.float32),
            size_wh=image.size_wh,
            file_name=image.file_name,
            image_id=boxes.image_id,
            image=image.pixels,
            candidates=candidates[:, columns] if candidates.size else None,
            covariances=np.array(spreads)[:, columns] if spreads else None,
            **ownership,
        )
        return poses[np.argsort(-poses.pose_scores, kind="stable")]

    def _compute_ownership(
        self, keypoints_xy: _Float32s, scores: _Float32s, boxes_xyxy: Floats, people: Sequence[_PersonPrediction]
    ) -> dict[str, Any]:
        """Returns the probabilities and rivals of one image's people by their names in Poses; {} without a fit."""
        if self.network.ownership is None:
            return {}
        rivals = find_rivals(keypoints_xy, scores, boxes_xyxy, self._network_skeleton)
        features = np.array([person.features for person in people]).reshape(*scores.shape, len(CROP_FEATURES))
        values = self.network.ownership(add_rival_features(features, rivals))
        values["rival_owned"] = rivals.values_of(values["owned"])
        floats = {name: value[:, self._columns].astype(np.float32) for name, value in values.items()}
        return {**floats, "rival": rivals.person[:, self._columns]}


def _choose_skeleton(requested: str | Skeleton | None, predicted: Skeleton) -> Skeleton:
    """Returns the skeleton of the results; raises RSGNetError if the network does not predict all of it."""
    if requested is None:
        return COCO17 if (COCO17.indices_in(predicted) >= 0).all() else predicted
    skeleton = get_skeleton(requested) if isinstance(requested, str) else requested
    missing = [name for name in skeleton.keypoints if name not in predicted.keypoints]
    if missing:
        raise RSGNetError(
            f"these weights predict {predicted.name}, which has no {', '.join(missing)} for {skeleton.name}"
        )
    return skeleton
