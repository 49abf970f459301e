"""Heatmaps of another network for the people of a data set: what a student learns beside the labels.

A teacher's heatmap says more than where a keypoint is: how sure that is, and where else it might be. They are computed
once a person and carried into every augmented crop.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from rsgnet.bounded import regular_size
from rsgnet.errors import AnnotationError
from rsgnet.files import replacing
from rsgnet.geometry import Floats, apply_affine, compose_affine, invert_affine
from rsgnet.skeletons import Skeleton

_STEPS = 255  # a height of 1 as it is stored


class PersonMaps(NamedTuple):
    """A teacher's heatmaps of one person.

    Attributes:
        person: The annotation's id.
        heatmaps: (K, h, w), 0..1.
        affine: (2, 3) from picture pixels to the heatmaps' pixels.
    """

    person: int
    heatmaps: NDArray[np.float32]
    affine: Floats


def write_taught_maps(path: Path, people: Iterable[PersonMaps], keypoints: tuple[str, ...]) -> None:
    """Writes heatmaps in steps of 1/255.

    Args:
        path: The safetensors file.
        people: At least one person's.
        keypoints: Their names.
    """
    ids, heatmaps, affines = zip(*((each.person, _stored(each.heatmaps), each.affine) for each in people), strict=True)
    tensors = {"people": np.array(ids, np.int64), "heatmaps": np.stack(heatmaps), "affines": np.stack(affines)}
    with replacing(path) as beside:
        save_file(tensors, beside, {"keypoints": ",".join(keypoints)})


class TaughtMaps:
    """The file of a teacher's heatmaps, read person by person.

    Args:
        path: What `write_taught_maps` wrote.
        skeleton: Whose keypoints are wanted; matched by name.

    Raises:
        AnnotationError: The file is none of these.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        try:
            regular_size(path)
            with safe_open(path, "pt") as file:
                names = (file.metadata() or {})["keypoints"].split(",")
                people, affines = file.get_tensor("people"), file.get_tensor("affines")
                self._heatmaps = file.get_tensor("heatmaps")  # mapped, not read
        except (OSError, SafetensorError, KeyError) as error:
            raise AnnotationError(f"{path}: not a file of a teacher's heatmaps ({error})") from error
        kinds, count = (people.dtype, self._heatmaps.dtype, affines.dtype), len(people)
        shapes = (*people.shape, *self._heatmaps.shape[:2], *affines.shape)
        if (
            kinds != (torch.int64, torch.uint8, torch.float64)
            or shapes != (count, count, len(names), count, 2, 3)
            or self._heatmaps.ndim != 4
            or min(self._heatmaps.shape[2:]) < 2
            or not affines.isfinite().all()
        ):
            raise AnnotationError(f"{path}: its tensors are not those of heatmaps, or do not fit each other")
        self._rows = {person: row for row, person in enumerate(people.tolist())}
        self._affines = affines.numpy()
        self._channels = torch.tensor([names.index(name) if name in names else -1 for name in skeleton.keypoints])
        self._flip = list(skeleton.flip_indices)

    def in_crop(
        self, person: int, to_map: Floats, shape_hw: tuple[int, int], mirrored: bool
    ) -> Float[Tensor, "keypoints h w"]:
        """One person's heatmaps, as a crop of the person shows them.

        Args:
            person: The annotation's id.
            to_map: (2, 3) from picture pixels to the pixels of the crop's heatmaps.
            shape_hw: Height and width of these.
            mirrored: Whether `to_map` mirrors; left and right are swapped then.

        Returns:
            (K, h, w) heights 0..1; NaN where the teacher did not look, or does not know the keypoint.
        """
        row = self._rows.get(person)
        if row is None:
            return torch.full((len(self._channels), *shape_hw), torch.nan)
        taught = self._heatmaps[row].float() / _STEPS
        size_wh = np.array(taught.shape[:0:-1])  # of its maps
        source = compose_affine(self._affines[row], invert_affine(to_map))
        rows, columns = np.indices(shape_hw)
        places = apply_affine(source, np.stack([columns, rows], -1))
        # align_corners: -1 and 1 are the middles of the first and last pixel.
        grid = torch.from_numpy(2 * places / (size_wh - 1) - 1).float()
        warped = F.grid_sample(taught[None], grid[None], align_corners=True)[0]
        looked_at = (grid.abs() <= 1).all(-1)
        known = self._channels >= 0
        maps = torch.where(looked_at & known[:, None, None], warped[self._channels], torch.nan)
        return maps[self._flip] if mirrored else maps


def _stored(heatmaps: NDArray[np.float32]) -> NDArray[np.uint8]:
    stored: NDArray[np.uint8] = (heatmaps.clip(0, 1) * _STEPS).round().astype(np.uint8)
    return stored
