"""Post-training quantisation of convolutions to 8 bits with NNCF, calibrated on crops of labelled people."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.catalog import resolve_labels_and_images
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import DataSource, PoseDataset
from rsgnet.errors import RSGNetError, requires_extra
from rsgnet.export.network_files import OpenVinoModel

MAX_CROPS = 300
_QUANTISED = ("Convolution", "GroupConvolution")


def read_calibration_crops(data: Sequence[str], config: PoseConfig) -> NDArray[np.uint8]:
    """Returns (N, H, W, 3) crops of MAX_CROPS randomly chosen labelled people, or of all where there are fewer.

    Args:
        data: Labels, each `LABELS[:IMAGES_DIR]`.
        config: The network's configuration.

    Raises:
        RSGNetError: Labels or images cannot be used, or nobody is labelled.
    """
    sources = []
    for text in data:
        try:
            files = resolve_labels_and_images(text)
        except RSGNetError as error:
            raise RSGNetError(f"--calibrate {text}: {error}") from error
        sources.append(DataSource(files.annotations, files.images))
    people = PoseDataset(sources, config, augmented=False)
    chosen = np.random.default_rng(0).permutation(len(people))[:MAX_CROPS]
    return np.stack([people[int(index)].crop.numpy() for index in chosen])


def quantise_network(network: OpenVinoModel, crops: NDArray[np.uint8]) -> OpenVinoModel:
    """Returns a network with 8-bit convolutions, which are nearly all of the computation.

    All other operations keep their precision: decoding in 8 bits would shift keypoints by a quarter of a heatmap pixel.
    So do the convolutions that read pixels and those that give heatmaps; they are cheap, and quantising them costs nano
    0.013 AP (docs/log.md).

    Args:
        network: The network in full precision.
        crops: (N, H, W, 3) on which the ranges of activations are measured.

    Raises:
        RSGNetError: NNCF is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")  # disables its telemetry
    with requires_extra("quantisation", "int8"):
        import nncf  # noqa: PLC0415
    nncf.set_log_level(logging.ERROR)
    kept = sorted({operation.get_type_name() for operation in network.get_ops()} - set(_QUANTISED))
    return nncf.quantize(
        network,
        nncf.Dataset(list(crops[:, None])),
        subset_size=len(crops),
        ignored_scope=nncf.IgnoredScope(types=kept, names=_first_and_last_convolutions(network), validate=False),
    )


def _first_and_last_convolutions(network: OpenVinoModel) -> list[str]:
    """Returns the names of convolutions that read RGB pixels or give one map per keypoint."""
    keypoints = network.outputs[0].get_partial_shape()[1].get_length()
    names = []
    for operation in network.get_ops():
        if operation.get_type_name() == "Convolution":
            outputs, inputs = list(operation.input(1).get_shape())[:2]
            if outputs == keypoints or inputs == 3:
                names.append(operation.get_friendly_name())
    return names
