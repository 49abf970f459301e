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

from rsgnet.checkpoint import build, load_backbone, load_fitting, read_config
from rsgnet.config import PoseConfig
from rsgnet.data.annotations import read_annotations
from rsgnet.data.catalog import DataSetFiles
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.intervals import draw_images
from rsgnet.evaluation.paired_runs import (
    FigureDraws,
    PairedDifference,
    SeedMean,
    draw_seeds,
    paired_differences,
    run_figures,
    seed_means,
)
from rsgnet.evaluation.protocol import is_crowdpose
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.scenes import Scene, read_scenes
from rsgnet.files import sha256, write_text
from rsgnet.inference.run_record import RESULTS_FILE
from rsgnet.model.cost import Cost, cost_of
from rsgnet.model_files import WEIGHTS_FILE
from rsgnet.reproduce.arms import PLAIN, Arm, arm_config
from rsgnet.reproduce.runs import find_poses, has_poses, is_trained
from rsgnet.settings import to_json
from rsgnet.skeletons import Skeleton
from rsgnet.training.run import MODEL_DIRECTORY, train

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Ablation:
    """What is compared, and what it is trained from.

    Attributes:
        preset: The preset of a pose network.
        settings: Changes to it, `key=value`, the same for all arms; seeds count on from its `training.seed`.
        arms: The networks.
        seeds: How many times each is trained.
        data: What they are trained on, each as `rsgnet train --data`.
        out: The folder for runs, poses and tables.
        start_from: A model directory of whose weights every arm takes what fits, the whole backbone at least.
        backbone_from: A model directory of which every arm takes the backbone alone.
        workers: Processes that cut crops in training.
        tell: Told in a line what is being done.
    """

    preset: str
    settings: tuple[str, ...]
    arms: tuple[Arm, ...]
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

    def settings_of(self, arm: Arm, seed: int) -> list[str]:
        """All changes to the preset of one run; seeds are counted from 0."""
        first = arm_config(self.preset, self.settings).training.seed
        return [*self.settings, *arm.settings, f"training.seed={first + seed}"]

    def config_of(self, arm: Arm, seed: int = 0) -> PoseConfig:
        """The config of one run."""
        return arm_config(self.preset, self.settings_of(arm, seed))

    def run_of(self, arm: Arm, seed: int) -> Path:
        """The folder of one run."""
        return self.out / "runs" / f"{arm.name}-seed{seed}"

    def seeds_done(self, arm: Arm) -> list[int]:
        """Which seeds of an arm are trained to the end."""
        epochs = self.config_of(arm).training.epochs
        return [seed for seed in range(self.seeds) if is_trained(self.run_of(arm, seed), epochs)]


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
        means: By arm and figure.
        differences: By arm and figure, the arm's less the plain one's, over the seeds that both were trained from.
    """

    name: str
    images: int
    people: int
    means: Mapping[str, Mapping[str, SeedMean]]
    differences: Mapping[str, Mapping[str, PairedDifference]]


def cost_of_arm(ablation: Ablation, arm: Arm) -> Cost:
    """The size and work of an arm's network."""
    config = ablation.config_of(arm)
    with torch.device("meta"):
        return cost_of(build(config), config.crop.size_wh)


def tensors_taken(ablation: Ablation, arm: Arm) -> tuple[int, int]:
    """How many of its tensors an arm starts from the weights it is given, and how many it has.

    Raises:
        WeightsError: There are no such weights, or their backbone is another.
    """
    network = build(ablation.config_of(arm))
    names = set(network.state_dict())
    if ablation.start_from is not None:
        load_backbone(network, ablation.start_from)
        return len(names - load_fitting(network, ablation.start_from)), len(names)
    if ablation.backbone_from is not None:
        load_backbone(network, ablation.backbone_from)
        return sum(name.startswith("backbone.") for name in names), len(names)
    return 0, len(names)


def train_runs(ablation: Ablation) -> bool:
    """Trains what is not trained yet, one seed of all arms after the other, so that what is done can be compared.

    Other processes with the same folder share the work: a run that one of them is at is passed over.

    Returns:
        Whether all is trained now; false where another process is still at it.

    Raises:
        RSGNetError: The folder holds runs of other settings, data or starting weights; or as `training.run.train`.
    """
    _keep_to_the_plan(ablation)
    _tell_who_is_favoured(ablation)
    for seed in range(ablation.seeds):
        for arm in ablation.arms:
            run = ablation.run_of(arm, seed)
            run.mkdir(parents=True, exist_ok=True)
            with suppress(Timeout), FileLock(run / "lock", timeout=0):
                if seed not in ablation.seeds_done(arm):
                    ablation.tell(f"training {run.name} -> {run}")
                    _train_run(ablation, arm, seed)
    return all(len(ablation.seeds_done(arm)) == ablation.seeds for arm in ablation.arms)


def _train_run(ablation: Ablation, arm: Arm, seed: int) -> None:
    train(
        ablation.preset, ablation.settings_of(arm, seed), ablation.data, ablation.run_of(arm, seed),
        resume=True,
        # The backbone must fit whole, or arms would start unalike.
        backbone_from=ablation.backbone_from or ablation.start_from, fitting_from=ablation.start_from,
        workers=ablation.workers, progress=False,
    )  # fmt: skip


def _keep_to_the_plan(ablation: Ablation) -> None:
    """Refuses to go on with runs that were begun otherwise: arms must differ in nothing but themselves."""
    starts = {"start_from": ablation.start_from, "backbone_from": ablation.backbone_from}
    plan = {
        "config": json.loads(to_json(arm_config(ablation.preset, ablation.settings))),
        "data": list(ablation.data),
        **{name: path and sha256(path / WEIGHTS_FILE) for name, path in starts.items()},
    }
    path = ablation.out / PLAN_FILE
    if path.is_file() and json.loads(path.read_bytes()) != plan:
        raise RSGNetError(f"{path}: was begun with other settings, data or starting weights; choose another --out")
    write_text(path, json.dumps(plan, indent=2))


def _tell_who_is_favoured(ablation: Ablation) -> None:
    """Arms that start from heads of their own kind begin trained, which with a small budget decides everything."""
    if ablation.start_from is None:
        return
    given = read_config(ablation.start_from)
    if isinstance(given, PoseConfig) and (given.model.relation != "none" or given.model.skeleton_graph):
        ablation.tell(
            f"{ablation.start_from} is no plain network: arms like it begin trained and are favoured; for a fair "
            "comparison give --backbone-from, or --start-from a plain network"
        )


def measure_runs(ablation: Ablation, benchmark: Benchmark, resamples: int = 1000, seed: int = 0) -> Outcome:
    """Measures the runs that are trained, and compares each arm with the plain one.

    Poses are found without flip test, about the truth's own boxes.

    Args:
        ablation: The runs.
        benchmark: What they are measured on.
        resamples: How many times images and seeds are drawn for the intervals.
        seed: What the draws begin with.

    Raises:
        RSGNetError: The plain arm has not been trained, or the set's files do not go together.
    """
    done = {arm: ablation.seeds_done(arm) for arm in ablation.arms}
    if not done[PLAIN]:
        raise RSGNetError(f"{ablation.out}: no run of the arm {PLAIN.name!r} is trained to its end; nothing to compare")
    draws: NDArray[np.int64] | None = None
    figures: dict[str, dict[int, FigureDraws]] = {}
    for arm, seeds in done.items():
        for number in seeds:
            scenes, skeleton = run_scenes(ablation, arm, number, benchmark)
            draws = draw_images(len(scenes), resamples, seed) if draws is None else draws
            figures.setdefault(arm.name, {})[number] = run_figures(scenes, skeleton, draws)
    counted = sum(int(scene.counted.sum()) for scene in scenes)
    return Outcome(benchmark.name, len(scenes), counted, *_compared(figures, resamples, seed))


def _compared(
    figures: Mapping[str, Mapping[int, FigureDraws]], resamples: int, seed: int
) -> tuple[dict[str, dict[str, SeedMean]], dict[str, dict[str, PairedDifference]]]:
    """By arm: means over all its seeds, and differences to the plain arm over the seeds that both have."""
    means, differences = {}, {}
    plain = figures[PLAIN.name]
    for arm, runs in figures.items():
        means[arm] = seed_means(list(runs.values()), draw_seeds(len(runs), resamples, seed))
        both = [number for number in runs if number in plain]
        if arm != PLAIN.name and both:
            weights = draw_seeds(len(both), resamples, seed)
            differences[arm] = paired_differences(
                [runs[number] for number in both], [plain[number] for number in both], weights
            )
    return means, differences


def run_scenes(ablation: Ablation, arm: Arm, seed: int, benchmark: Benchmark) -> tuple[tuple[Scene, ...], Skeleton]:
    """One run's poses beside the truth, found unless they were found already.

    Raises:
        RSGNetError: An image cannot be read, or the set's files have different keypoints.
    """
    run = ablation.run_of(arm, seed)
    scenes: list[Scene] = []
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
