"""An ablation: the same network with and without the paper's modules, from several seeds, on the same data and budget.

Runs are kept in OUT/runs, poses in OUT/poses; what is done is not done again, what was broken off goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from rsgnet.annotations.catalog import DataSetFiles
from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import build, load_backbone, load_fitting, read_config
from rsgnet.config import PoseConfig
from rsgnet.config_files import WEIGHTS_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.intervals import (
    FigureDraws,
    PairedDifference,
    SeedMean,
    bootstrap_indices,
    draw_seeds,
    paired_differences,
    run_figures,
    seed_means,
)
from rsgnet.evaluation.matching import MatchedImage, read_scenes
from rsgnet.evaluation.protocol import is_crowdpose
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.files import sha256, write_text
from rsgnet.inference.predictions import RESULTS_FILE
from rsgnet.model.cost import Cost, cost_of
from rsgnet.reproduce.measure import find_poses, has_poses, is_trained
from rsgnet.reproduce.variants import PLAIN, Variant, variant_config
from rsgnet.skeletons import Skeleton
from rsgnet.training.run import MODEL_DIRECTORY, train

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Ablation:
    """What is compared, and what it is trained from.

    Attributes:
        preset: The preset of a pose network.
        settings: Changes to it, `key=value`, the same for all variants; seeds count on from its `training.seed`.
        variants: The networks.
        seeds: How many times each is trained.
        data: What they are trained on, each as `rsgnet train --data`.
        out: The folder for runs, poses and tables.
        start_from: A model directory of whose weights every variant takes what fits, the whole backbone at least.
        backbone_from: A model directory of which every variant takes the backbone alone.
        workers: Processes that cut crops in training.
        tell: Told in a line what is being done.
    """

    preset: str
    settings: tuple[str, ...]
    variants: tuple[Variant, ...]
    seeds: int
    data: tuple[str, ...]
    out: Path
    start_from: Path | None = None
    backbone_from: Path | None = None
    workers: int = 1
    tell: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.start_from is not None and self.backbone_from is not None:
            raise RSGNetError("--start-from and --backbone-from exclude each other")
        if self.seeds < 1:
            raise RSGNetError(f"--seeds {self.seeds}: at least one is needed")

    def settings_of(self, variant: Variant, seed: int) -> list[str]:
        """All changes to the preset of one run; seeds are counted from 0."""
        first = variant_config(self.preset, self.settings).training.seed
        return [*self.settings, *variant.settings, f"training.seed={first + seed}"]

    def config_of(self, variant: Variant, seed: int = 0) -> PoseConfig:
        """The config of one run."""
        return variant_config(self.preset, self.settings_of(variant, seed))

    def run_of(self, variant: Variant, seed: int) -> Path:
        """The folder of one run."""
        return self.out / "runs" / f"{variant.name}-seed{seed}"

    def seeds_done(self, variant: Variant) -> list[int]:
        """Which seeds of an variant are trained to the end."""
        epochs = self.config_of(variant).training.epochs
        return [seed for seed in range(self.seeds) if is_trained(self.run_of(variant, seed), epochs)]


@dataclass(frozen=True)
class Benchmark:
    """Images that are measured on together.

    Attributes:
        name: What it is called.
        files: Its label files and images.
    """

    name: str
    files: tuple[DataSetFiles, ...]


@dataclass(frozen=True)
class Outcome:
    """What came out on one benchmark.

    Attributes:
        name: The benchmark's.
        images: How many it has.
        people: How many people count in them.
        means: By variant and figure.
        differences: By variant and figure, the variant's less the plain one's, over the seeds that both share.
    """

    name: str
    images: int
    people: int
    means: Mapping[str, Mapping[str, SeedMean]]
    differences: Mapping[str, Mapping[str, PairedDifference]]


def cost_of_variant(ablation: Ablation, variant: Variant) -> Cost:
    """The size and work of an variant's network."""
    config = ablation.config_of(variant)
    with torch.device("meta"):
        return cost_of(build(config), config.crop.size_wh)


def tensors_taken(ablation: Ablation, variant: Variant) -> tuple[int, int]:
    """How many of its tensors an variant starts from the weights it is given, and how many it has.

    Raises:
        WeightsError: There are no such weights, or their backbone is another.
    """
    network = build(ablation.config_of(variant))
    names = set(network.state_dict())
    if ablation.start_from is not None:
        load_backbone(network, ablation.start_from)
        return len(names - load_fitting(network, ablation.start_from)), len(names)
    if ablation.backbone_from is not None:
        load_backbone(network, ablation.backbone_from)
        return sum(name.startswith("backbone.") for name in names), len(names)
    return 0, len(names)


def train_runs(ablation: Ablation) -> bool:
    """Trains what is not trained yet, one seed of all variants after the other, so that what is done can be compared.

    Other processes with the same folder share the work: a run that one of them is at is passed over.

    Returns:
        Whether all is trained now; false where another process is still at it.

    Raises:
        RSGNetError: The folder holds runs of other settings, data or starting weights; or as `training.run.train`.
    """
    _keep_to_the_plan(ablation)
    _tell_who_is_favoured(ablation)
    for seed in range(ablation.seeds):
        for variant in ablation.variants:
            run = ablation.run_of(variant, seed)
            run.mkdir(parents=True, exist_ok=True)
            with suppress(Timeout), FileLock(run / "lock", timeout=0):
                if seed not in ablation.seeds_done(variant):
                    ablation.tell(f"training {run.name} -> {run}")
                    _train_run(ablation, variant, seed)
    return all(len(ablation.seeds_done(variant)) == ablation.seeds for variant in ablation.variants)


def _train_run(ablation: Ablation, variant: Variant, seed: int) -> None:
    train(
        ablation.preset, ablation.settings_of(variant, seed), ablation.data, ablation.run_of(variant, seed),
        resume=True,
        # The backbone must fit whole, or variants would start unalike.
        backbone_from=ablation.backbone_from or ablation.start_from, fitting_from=ablation.start_from,
        workers=ablation.workers, progress=False,
    )  # fmt: skip


def _keep_to_the_plan(ablation: Ablation) -> None:
    """Refuses to go on with runs that were begun otherwise: variants must differ in nothing but themselves."""
    starts = {"start_from": ablation.start_from, "backbone_from": ablation.backbone_from}
    plan = {
        "config": json.loads(to_json(variant_config(ablation.preset, ablation.settings))),
        "data": list(ablation.data),
        **{name: path and sha256(path / WEIGHTS_FILE) for name, path in starts.items()},
    }
    path = ablation.out / PLAN_FILE
    if path.is_file() and json.loads(path.read_bytes()) != plan:
        raise RSGNetError(f"{path}: was begun with other settings, data or starting weights; choose another --out")
    write_text(path, json.dumps(plan, indent=2))


def _tell_who_is_favoured(ablation: Ablation) -> None:
    """Variants that start from heads of their own kind begin trained, which with a small budget decides everything."""
    if ablation.start_from is None:
        return
    given = read_config(ablation.start_from)
    if isinstance(given, PoseConfig) and (given.model.relation is not None or given.model.skeleton_graph):
        ablation.tell(
            f"{ablation.start_from} is no plain network: variants like it begin trained and are favoured; for a fair "
            "comparison give --backbone-from, or --start-from a plain network"
        )


def measure_runs(ablation: Ablation, benchmark: Benchmark, resamples: int = 1000, seed: int = 0) -> Outcome:
    """Measures the runs that are trained, and compares each variant with the plain one.

    Poses are found without flip test, about the truth's own boxes.

    Args:
        ablation: The runs.
        benchmark: What they are measured on.
        resamples: How many times images and seeds are drawn for the intervals.
        seed: What the draws begin with.

    Raises:
        RSGNetError: The plain variant has not been trained, or the set's files do not go together.
    """
    done = {variant: ablation.seeds_done(variant) for variant in ablation.variants}
    if not done[PLAIN]:
        raise RSGNetError(
            f"{ablation.out}: no run of the variant {PLAIN.name!r} is trained to its end; nothing to compare"
        )
    draws: NDArray[np.int64] | None = None
    figures: dict[str, dict[int, FigureDraws]] = {}
    for variant, seeds in done.items():
        for number in seeds:
            scenes, skeleton = run_scenes(ablation, variant, number, benchmark)
            draws = bootstrap_indices(len(scenes), resamples, seed) if draws is None else draws
            figures.setdefault(variant.name, {})[number] = run_figures(scenes, skeleton, draws)
    counted = sum(int(scene.counted.sum()) for scene in scenes)
    return Outcome(benchmark.name, len(scenes), counted, *_compared(figures, resamples, seed))


def _compared(
    figures: Mapping[str, Mapping[int, FigureDraws]], resamples: int, seed: int
) -> tuple[dict[str, dict[str, SeedMean]], dict[str, dict[str, PairedDifference]]]:
    """By variant: means over all its seeds, and differences to the plain variant over the seeds that both have."""
    means, differences = {}, {}
    plain = figures[PLAIN.name]
    for variant, runs in figures.items():
        means[variant] = seed_means(list(runs.values()), draw_seeds(len(runs), resamples, seed))
        both = [number for number in runs if number in plain]
        if variant != PLAIN.name and both:
            weights = draw_seeds(len(both), resamples, seed)
            differences[variant] = paired_differences(
                [runs[number] for number in both], [plain[number] for number in both], weights
            )
    return means, differences


def run_scenes(
    ablation: Ablation, variant: Variant, seed: int, benchmark: Benchmark
) -> tuple[tuple[MatchedImage, ...], Skeleton]:
    """One run's poses beside the truth, found unless they were found already.

    Raises:
        RSGNetError: An image cannot be read, or the set's files have different keypoints.
    """
    run = ablation.run_of(variant, seed)
    scenes: list[MatchedImage] = []
    skeletons: list[Skeleton] = []
    for files in benchmark.files:
        truth = read_annotations(files.annotations)
        folder = ablation.out / "poses" / run.name / f"{files.annotations.parent.name}-{files.annotations.stem}"
        if not has_poses(folder, run / MODEL_DIRECTORY, "gt", flip_test=False, boxes_file=files.annotations):
            ablation.tell(f"{run.name}: poses on {files.annotations}")
            find_poses(folder, run / MODEL_DIRECTORY, truth, files.images, "gt", flip_test=False)
        results = read_keypoint_results(folder / RESULTS_FILE, truth)
        scenes += read_scenes(truth, results, is_crowdpose(truth, "auto"))
        skeletons.append(truth.skeleton)
        if truth.skeleton != skeletons[0]:
            raise RSGNetError(f"{files.annotations}: has other keypoints than {benchmark.files[0].annotations}")
    return tuple(scenes), skeletons[0]
