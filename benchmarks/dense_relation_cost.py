"""Compares our implementation of the authors' released network with one that follows their code literally.

`python benchmarks/dense_relation_cost.py [--batch 8]`

The literal implementation holds the whole matrix of relations between pixels, spreads each keypoint's embedding over
hundreds of maps before a convolution merges them, and runs eagerly; ours does neither. Speed is that of the whole
forward pass. Memory is the growth of a child process during the relation alone. All have the same random weights.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from measurement import Measurement, Spread, Timings, at_least, at_most, make_parser, report, set_up
from torch import Tensor

from rsgnet.checkpoint import build, load_model, save_model
from rsgnet.config import PoseConfig
from rsgnet.export.directory import export_onnx
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.model import DenseRSGNet
from rsgnet.model.layers import normalise
from rsgnet.model.released.dense_relation import DenseRelation
from rsgnet.presets import preset_named

PRESET = "dense-w32-256x192-coco"
BACKENDS = ("torch", "onnx", "openvino")
TOLERANCE = 1e-3


def make_literal(network: DenseRSGNet) -> DenseRSGNet:
    """Replaces the optimised parts of a network by literal ones."""
    clues, head = network.clues, network.relation_head

    def categories(heatmaps: Tensor) -> Tensor:
        embeddings = clues.word_encoder(clues.words)
        return clues.category(torch.einsum("bkyx,kd->bdyx", heatmaps, embeddings))

    def relate(maps: Tensor) -> tuple[Tensor, DenseRelation]:
        relation = DenseRelation(maps)
        values = head.value(maps).flatten(2).transpose(1, 2)
        related = (relation.matrix() @ values).transpose(1, 2).reshape(maps.shape)
        return head.norm(head.output(related)), relation

    clues._categories, head.forward = categories, relate
    return network


def memory_growth(literal: bool, batch: int, shape_hw: tuple[int, int], threads: int) -> float:
    """Returns by how many MB the peak memory of this process grows while it relates the pixels of random maps."""
    torch.set_num_threads(threads)
    clues = torch.rand(batch, 32, *shape_hw)
    relation = DenseRelation(clues)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        if literal:
            relation.matrix() @ clues.flatten(2).transpose(1, 2)
        else:
            relation.mix(clues)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def measure_memory(config: PoseConfig, arguments: argparse.Namespace) -> Measurement:
    shape_hw = config.crop.size_wh[1] // 4, config.crop.size_wh[0] // 4

    def grow_in_child(literal: bool) -> float:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(memory_growth, literal, arguments.batch, shape_hw, arguments.threads).result()

    ours, literal = ([grow_in_child(literal) for _ in range(arguments.rounds)] for literal in (False, True))
    shares = Spread.of(*(one / other for one, other in zip(ours, literal, strict=True)))
    return at_most("memory of the relation, ours over as released", shares, 0.25)


def measure_speed(directory: Path, config: PoseConfig, arguments: argparse.Namespace) -> list[Measurement]:
    literal = make_literal(load_model(directory)[0])
    width, height = config.crop.size_wh
    crops = np.random.default_rng(0).integers(0, 256, (arguments.batch, height, width, 3), np.uint8)

    def as_released() -> Tensor:
        with torch.inference_mode():
            pixels = normalise(torch.from_numpy(crops), config.crop.mean, config.crop.std)
            return literal(pixels.contiguous()).target_heatmaps  # in the default memory layout, as released

    ours = {backend: open_network(directory, backend, "cpu") for backend in BACKENDS}
    reference = as_released().numpy()
    calls: dict[str, Callable[[], object]] = {"as released": as_released}
    calls |= {backend: lambda network=network: network.run(crops) for backend, network in ours.items()}
    times = Timings(calls, arguments.rounds, arguments.seconds)
    fastest = min(BACKENDS, key=lambda backend: times.spread(backend).median)
    measurements = []
    for backend, network in ours.items():
        name = f"{PRESET}, batch {arguments.batch}: time as released over ours with {backend}"
        ratio = times.ratio("as released", to=backend)
        measurements.append(at_least(name, ratio, 1.5) if backend == fastest else Measurement(name, ratio))
        difference = np.abs(network.run(crops).target_heatmaps - reference).max() / np.abs(reference).max()
        name = f"largest difference of heatmaps with {backend}, relative to the highest value"
        measurements.append(at_most(name, Spread.of(float(difference)), TOLERANCE))
    return measurements


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    config = preset_named(PRESET)
    assert isinstance(config, PoseConfig)
    measurements = [measure_memory(config, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_model(build(config), config, Path(folder))
        export_onnx(Path(folder))
        measurements += measure_speed(Path(folder), config, arguments)
    report("dense_relation_cost", measurements, arguments)


if __name__ == "__main__":
    main()
