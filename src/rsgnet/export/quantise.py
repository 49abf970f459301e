"""Convolutions in 8 bits: NNCF's quantisation after training, its ranges measured on people's crops."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.catalog import labels_and_images
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import DataSource, PoseDataset
from rsgnet.errors import RSGNetError, requires_extra
from rsgnet.export.network_files import Network

CROPS = 300
_QUANTISED = ("Convolution", "GroupConvolution")


def calibration_crops(data: Sequence[str], config: PoseConfig, seed: int = 0) -> NDArray[np.uint8]:
    """(N, H, W, 3) crops of labelled people, CROPS of them or all where there are fewer.

    Args:
        data: Labels, each `LABELS[:IMAGES_DIR]`.
        config: The network's.
        seed: Seeds the choice.

    Raises:
        RSGNetError: Labels or images cannot be used, or hold nobody.
    """
    sources = []
    for text in data:
        try:
            files = labels_and_images(text)
        except RSGNetError as error:
            raise RSGNetError(f"--calibrate {text}: {error}") from error
        sources.append(DataSource(files.annotations, files.images))
    people = PoseDataset(sources, config, augmented=False)
    chosen = np.random.default_rng(seed).permutation(len(people))[:CROPS]
    return np.stack([people[int(index)].crop.numpy() for index in chosen])


def quantised(network: Network, crops: NDArray[np.uint8]) -> Network:
    """A network whose convolutions reckon in 8 bits.

    Convolutions are nearly all of the work. What finds, relates and places peaks keeps its precision: a place in 8 bits
    is off by a quarter of a heatmap pixel. So do the convolutions that read pixels and those that give heatmaps, which
    are little work and cost nano 0.013 AP (docs/log.md).

    Args:
        network: As OpenVINO read it.
        crops: (N, H, W, 3) to measure ranges on.

    Raises:
        RSGNetError: NNCF is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else it reports its use to its makers
    with requires_extra("quantisation", "int8"):
        import nncf  # noqa: PLC0415
    nncf.set_log_level(logging.ERROR)
    kept = sorted({operation.get_type_name() for operation in network.get_ops()} - set(_QUANTISED))
    return nncf.quantize(
        network,
        nncf.Dataset(list(crops[:, None])),
        subset_size=len(crops),
        ignored_scope=nncf.IgnoredScope(types=kept, names=_at_the_ends(network), validate=False),
    )


def _at_the_ends(network: Network) -> list[str]:
    """The convolutions that read pixels, and those that give as many maps as there are keypoints."""
    keypoints = network.outputs[0].get_partial_shape()[1].get_length()
    found = []
    for operation in network.get_ops():
        if operation.get_type_name() == "Convolution":
            given, read = list(operation.input(1).get_shape())[:2]
            if given == keypoints or read == 3:
                found.append(operation.get_friendly_name())
    return found
