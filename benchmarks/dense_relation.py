"""The network whose weights the authors released, written as plainly as they released it, beside ours.

`python benchmarks/dense_relation.py [--batch 8]`

Written plainly, the relation is one matrix of all pixels with all pixels, each keypoint is spread over hundreds of
maps before a convolution takes them together, and PyTorch runs layer after layer. Ours makes neither. Speeds are of the
whole forward, memory is what a child process grows by in its relation alone; weights are random, the same in all.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import measuring
import numpy as np
import torch
from torch import Tensor

from rsgnet.checkpoint import build, load_model, save_model
from rsgnet.config import PoseConfig
from rsgnet.export.directory import export_onnx
from rsgnet.inference.runtime.network import open_runner
from rsgnet.model import DenseRSGNet
from rsgnet.model.layers import normalise
from rsgnet.model.released.dense_relation import DenseRelation
from rsgnet.presets import preset_named

PRESET = "dense-w32-256x192-coco"
BACKENDS = ("torch", "onnx", "openvino")
TOLERANCE = 1e-3


def written_plainly(network: DenseRSGNet) -> DenseRSGNet:
    """The same network as released: eager, all of A at once, every keypoint's word spread over the map."""
    clues, head = network.clues, network.relation_head

    def categories(heatmaps: Tensor) -> Tensor:
        words = clues.word_encoder(clues.words)
        return clues.category(torch.einsum("bkyx,kw->bwyx", heatmaps, words))

    def relate(maps: Tensor) -> tuple[Tensor, DenseRelation]:
        relation = DenseRelation(maps, head.subsample)
        values = head.value(maps).flatten(2).transpose(1, 2)
        gathered = (relation.matrix() @ values).transpose(1, 2).reshape(maps.shape)
        return head.norm(head.output(gathered)), relation

    clues._categories, head.forward = categories, relate
    return network


def relation_growth(plainly: bool, batch: int, shape_hw: tuple[int, int], threads: int) -> float:
    """MB that a process grows by at its height while it relates the pixels of random maps."""
    torch.set_num_threads(threads)
    clues = torch.rand(batch, 32, *shape_hw)
    relation = DenseRelation(clues)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        if plainly:
            relation.matrix() @ clues.flatten(2).transpose(1, 2)
        else:
            relation.mix(clues)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def in_a_child(plainly: bool, arguments: argparse.Namespace, shape_hw: tuple[int, int]) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(relation_growth, plainly, arguments.batch, shape_hw, arguments.threads).result()


def speeds(directory: Path, config: PoseConfig, arguments: argparse.Namespace) -> list[measuring.Figure]:
    plain = written_plainly(load_model(directory)[0])
    width, height = config.crop.size_wh
    crops = np.random.default_rng(0).integers(0, 256, (arguments.batch, height, width, 3), np.uint8)

    def as_released() -> Tensor:
        with torch.inference_mode():
            pixels = normalise(torch.from_numpy(crops), config.crop.mean, config.crop.std)
            return plain(pixels.contiguous()).target_heatmaps  # laid out as PyTorch does by default, as released

    ours = {backend: open_runner(directory, backend, "cpu") for backend in BACKENDS}
    wanted = as_released().numpy()
    rivals: dict[str, Callable[[], object]] = {"as released": as_released}
    rivals |= {backend: lambda runner=runner: runner(crops) for backend, runner in ours.items()}
    times = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds)
    best = min(BACKENDS, key=lambda backend: times.spread(backend).median)
    found = []
    for backend, runner in ours.items():
        figure = measuring.at_least if backend == best else lambda what, value, _: measuring.Figure(what, value)
        what = f"{PRESET}, batch {arguments.batch}: as released over ours with {backend}"
        found.append(figure(what, times.ratio("as released", to=backend), 1.5))
        apart = float(np.abs(runner(crops) - wanted).max() / np.abs(wanted).max())
        what = f"largest difference of heatmaps with {backend}, as a share of the highest"
        found.append(measuring.at_most(what, measuring.Spread.of([apart]), TOLERANCE))
    return found


def main() -> None:
    parser = measuring.arguments_of(__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    config = preset_named(PRESET)
    assert isinstance(config, PoseConfig)
    shape_hw = config.crop.size_wh[1] // 4, config.crop.size_wh[0] // 4
    lean, plain = (
        [in_a_child(plainly, arguments, shape_hw) for _ in range(arguments.rounds)] for plainly in (False, True)
    )
    share = [ours / theirs for ours, theirs in zip(lean, plain, strict=True)]
    figures = [measuring.at_most("memory of the relation, ours over as released", measuring.Spread.of(share), 0.25)]
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_model(build(config), config, Path(folder))
        export_onnx(Path(folder))
        figures += speeds(Path(folder), config, arguments)
    measuring.report("dense_relation", figures, arguments)


if __name__ == "__main__":
    main()
