"""The rules of published benchmarks: who counts, by which keypoints and on what scale, and levels of crowding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import AREA_SHARE_OF_BOX, AnnotatedImage, Annotations, Person
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import COCO17, CROWDPOSE14, MPII16, POSETRACK17, WHOLEBODY133

NOT_MEASURABLE = -1.0  # the value of a metric as in pycocotools, where nobody is labelled whom it could be about
_EASY_BELOW, _MEDIUM_BELOW = 0.2, 0.8  # bounds of the crowd index between CrowdPose's levels


@dataclass(frozen=True)
class Part:
    """Keypoints that are evaluated as if there were no others.

    Attributes:
        start: The index of its first keypoint.
        stop: The index after its last keypoint; None for all that follow.
        visibilities: The visibilities that count as labelled; None for all above 0.
    """

    start: int = 0
    stop: int | None = None
    visibilities: tuple[int, ...] | None = None

    @property
    def keypoints(self) -> slice:
        """The indices of the keypoints."""
        return slice(self.start, self.stop)

    def find_labelled(self, visibility: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns which of the part's keypoints are labelled, from their visibilities."""
        return visibility > 0 if self.visibilities is None else np.isin(visibility, self.visibilities)


@dataclass(frozen=True)
class OutsideRule:
    """How Ex-OKS compares keypoints that are outside the crop (Purkrabek and Matas, "ProbPose", CVPR 2025).

    The crop is the person's box, extended to an aspect ratio and then scaled. If only the label or only the pose says
    that a keypoint is outside, the other's distance to the border of the crop is its error; if both do, it has none.

    Attributes:
        visibility: The visibility of keypoints that are labelled as outside.
        min_score: Keypoints with a lower score are predicted to be outside.
        aspect_ratio: Width divided by height.
        padding: The factor by which the extended box is scaled.
    """

    visibility: int = 3
    min_score: float = 0.5
    aspect_ratio: float = 3 / 4
    padding: float = 1.25


@dataclass(frozen=True)
class OksProtocol:
    """The rules of a benchmark that computes average precision from OKS.

    Attributes:
        name: Its name on the command line.
        skeletons: The names of the skeletons that it is for; empty for all.
        area_of_box: A person's area as a share of the box; None for the annotated area.
        deciding_keypoints: A person is evaluated if one of the first so many keypoints is labelled; None for all.
        part: The evaluated keypoints.
        size_keypoints: The extent of so many first keypoints is the size of a pose, by which poses that are matched to
            nobody are left out of the metrics of medium and large people; None for all.
        further_parts: By name, parts whose average precision and recall are computed besides.
        skips_empty_poses: Whether poses are left out that score no keypoint of the part above 0.
        skips_empty_images: Whether poses are left out in images where nobody is evaluated.
        outside: How keypoints outside the crop are compared; None for OKS as COCO defines it.
    """

    name: str
    skeletons: tuple[str, ...] = ()
    area_of_box: float | None = None
    deciding_keypoints: int | None = None
    part: Part = Part()
    size_keypoints: int | None = None
    further_parts: tuple[tuple[str, Part], ...] = ()
    skips_empty_poses: bool = False
    skips_empty_images: bool = False
    outside: OutsideRule | None = None

    def area(self, person: Person) -> float:
        """Returns the area in squared pixels that sets the OKS scale of a person."""
        if self.area_of_box is None:
            return person.area
        return self.area_of_box * float(person.box_xywh[2] * person.box_xywh[3])


COCO = OksProtocol("coco")
CROWDPOSE = OksProtocol(
    "crowdpose",
    (CROWDPOSE14.name,),
    area_of_box=AREA_SHARE_OF_BOX,
    deciding_keypoints=12,  # all but head and neck
)
OCHUMAN = replace(COCO, name="ochuman", skeletons=(COCO17.name,))  # on the COCO files of OCHuman and OCHuman-Pose
WHOLEBODY = OksProtocol(
    "wholebody",
    (WHOLEBODY133.name,),
    size_keypoints=17,
    further_parts=(
        ("body", Part(0, 17)),
        ("foot", Part(17, 23)),
        ("face", Part(23, 91)),
        ("lefthand", Part(91, 112)),
        ("righthand", Part(112, 133)),
    ),
    skips_empty_poses=True,
)
EXTENDED_OKS = OksProtocol(
    "ex-oks",
    further_parts=tuple((f"v{visibility}", Part(visibilities=(visibility,))) for visibility in (1, 2, 3)),
    skips_empty_poses=True,
    skips_empty_images=True,
    outside=OutsideRule(),
)
OKS_PROTOCOLS = {protocol.name: protocol for protocol in (COCO, CROWDPOSE, OCHUMAN, WHOLEBODY, EXTENDED_OKS)}
# By name, the skeleton of protocols that measure distances in sizes of the head; see head_distance.py.
HEAD_DISTANCE_PROTOCOLS = {"mpii": MPII16.name, "posetrack": POSETRACK17.name}
PROTOCOL_NAMES = ("auto", *OKS_PROTOCOLS, *HEAD_DISTANCE_PROTOCOLS)
_AUTOMATIC = {CROWDPOSE14.name: CROWDPOSE, WHOLEBODY133.name: WHOLEBODY}


def choose_protocol(truth: Annotations, name: str = "auto") -> OksProtocol:
    """Returns the rules to evaluate by.

    Args:
        truth: The annotated people.
        name: The name of one of OKS_PROTOCOLS, or "auto": by the skeleton, COCO's where it has no rules of its own.

    Raises:
        RSGNetError: There is no such protocol, or it is for people with other keypoints.
    """
    if name == "auto":
        return _AUTOMATIC.get(truth.skeleton.name, COCO)
    if name not in OKS_PROTOCOLS:
        raise RSGNetError(f"no protocol is named {name!r}; there are {', '.join(PROTOCOL_NAMES)}")
    protocol = OKS_PROTOCOLS[name]
    require_skeleton(truth, protocol.name, protocol.skeletons)
    return protocol


def require_skeleton(truth: Annotations, protocol: str, skeletons: Sequence[str]) -> None:
    """Raises an RSGNetError unless the annotated people have one of some skeletons, or any if none is named."""
    if skeletons and truth.skeleton.name not in skeletons:
        raise RSGNetError(
            f"{truth.path}: the {protocol} protocol is for {' or '.join(skeletons)} people, these are "
            f"{truth.skeleton.name}; use --protocol coco"
        )


def crowd_level(image: AnnotatedImage) -> str | None:
    """Returns "easy" (crowd index below 0.2), "medium" (below 0.8) or "hard"; None without a crowd index."""
    if image.crowd_index is None:
        return None
    return "easy" if image.crowd_index < _EASY_BELOW else "medium" if image.crowd_index < _MEDIUM_BELOW else "hard"


def group_by_level(levels: Sequence[str | None]) -> dict[str, list[int]]:
    """Groups the indices of images into "easy", "medium", "hard" and "medium_hard" (the last two together).

    Args:
        levels: The level of each image, as `crowd_level` returns it.

    Returns:
        Ascending indices by level; an empty dict if no image has a level.
    """
    if not any(levels):
        return {}
    rows = {name: [index for index, level in enumerate(levels) if level == name] for name in ("easy", "medium", "hard")}
    return {**rows, "medium_hard": sorted(rows["medium"] + rows["hard"])}
