"""Ablations: one network with and without the paper's modules, trained from several seeds on the same data and budget.

`train_runs` trains every variant from every seed into OUT/runs. `measure_runs` predicts poses on a benchmark into
OUT/poses and compares each variant with the plain one. Both skip what is finished, and training resumes what was
interrupted. Two processes must not work on the same OUT at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rsgnet.annotations.catalog import DataSetFiles
from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import build, load_backbone, load_fitting, read_config
from rsgnet.config import PoseConfig
from rsgnet.config_files import WEIGHTS_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.intervals import (
    BootstrapMetrics,
    PairedDifference,
    SeedMean,
    bootstrap_counts,
    bootstrap_run_metrics,
    bootstrap_seed_weights,
    compute_paired_differences,
    compute_seed_means,
)
from rsgnet.evaluation.matching import MatchedImage, match_images
from rsgnet.evaluation.protocol import choose_protocol
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.files import compute_sha256, write_text
from rsgnet.inference.predictions import RESULTS_FILE
from rsgnet.reproduce.measure import has_poses, is_trained, predict_poses
from rsgnet.reproduce.variants import PLAIN, Variant, variant_config
from rsgnet.skeletons import Skeleton
from rsgnet.training.run import MODEL_DIRECTORY, train

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Ablation:
    """The networks, data and starting weights of an ablation.

    Attributes:
        preset: The preset of a pose network.
        settings: Changes to it, `key=value`, the same for all variants; its `training.seed` is that of the first run.
        variants: The networks.
        seeds: How many times each is trained.
        data: The training data, each as for `rsgnet train --data`.
        out: The folder for runs, poses and tables.
        start_from: A model directory from which every variant loads all weights that fit, at least the whole backbone.
        backbone_from: A model directory from which every variant loads the backbone only.
        workers: The number of processes that make training crops.
        log: Called with one line of text for each step.

    Raises:
        RSGNetError: Both `start_from` and `backbone_from` are given, or `seeds` is below 1.
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
    log: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.start_from is not None and self.backbone_from is not None:
            raise RSGNetError("--start-from and --backbone-from exclude each other")
        if self.seeds < 1:
            raise RSGNetError(f"--seeds {self.seeds}: at least one is needed")

    def run_settings(self, variant: Variant, seed: int) -> list[str]:
        """Returns all changes to the preset of one run; seeds count from 0."""
        first_seed = variant_config(self.preset, self.settings).training.seed
        return [*self.settings, *variant.settings, f"training.seed={first_seed + seed}"]

    def run_config(self, variant: Variant, seed: int = 0) -> PoseConfig:
        """Returns the configuration of one run."""
        return variant_config(self.preset, self.run_settings(variant, seed))

    def run_folder(self, variant: Variant, seed: int) -> Path:
        """Returns the folder of one run."""
        return self.out / "runs" / f"{variant.name}-seed{seed}"

    def trained_seeds(self, variant: Variant) -> list[int]:
        """Returns the seeds of which a variant's training is finished."""
        epochs = self.run_config(variant).training.epochs
        return [seed for seed in range(self.seeds) if is_trained(self.run_folder(variant, seed), epochs)]


@dataclass(frozen=True)
class Benchmark:
    """Images on which metrics are computed together.

    Attributes:
        name: The benchmark's name.
        files: Its annotation files and image folders.
    """

    name: str
    files: tuple[DataSetFiles, ...]


@dataclass(frozen=True)
class BenchmarkResult:
    """The metrics of all variants on one benchmark.

    Attributes:
        name: The benchmark's name.
        images: The number of images.
        people: The number of evaluated people.
        means: By variant and metric.
        differences: By variant and metric, the variant's minus the plain variant's, over the seeds that both have.
    """

    name: str
    images: int
    people: int
    means: Mapping[str, Mapping[str, SeedMean]]
    differences: Mapping[str, Mapping[str, PairedDifference]]


def train_runs(ablation: Ablation) -> None:
    """Trains all runs that are not finished, one seed of all variants after the other.

    Raises:
        RSGNetError: The folder holds runs with other settings, data or starting weights; or as `training.run.train`.
    """
    _write_plan(ablation)
    _warn_of_unfair_start(ablation)
    for seed in range(ablation.seeds):
        for variant in ablation.variants:
            if seed not in ablation.trained_seeds(variant):
                _train_run(ablation, variant, seed)


def _write_plan(ablation: Ablation) -> None:
    """Records the settings, data and weights that all runs share, and refuses to continue runs with others."""
    starts = {"start_from": ablation.start_from, "backbone_from": ablation.backbone_from}
    plan = {
        "config": json.loads(to_json(variant_config(ablation.preset, ablation.settings))),
        "data": list(ablation.data),
        **{name: path and compute_sha256(path / WEIGHTS_FILE) for name, path in starts.items()},
    }
    path = ablation.out / PLAN_FILE
    if path.is_file() and json.loads(path.read_bytes()) != plan:
        raise RSGNetError(f"{path}: was begun with other settings, data or starting weights; choose another --out")
    write_text(path, json.dumps(plan, indent=2))


def _warn_of_unfair_start(ablation: Ablation) -> None:
    """Logs a warning if some variants start with trained modules, which decides any comparison of a small budget."""
    if ablation.start_from is None:
        return
    config = read_config(ablation.start_from)
    if isinstance(config, PoseConfig) and (config.model.relation is not None or config.model.skeleton_graph):
        ablation.log(
            f"{ablation.start_from} is no plain network: variants like it begin trained and are favoured; for a fair "
            "comparison give --backbone-from, or --start-from a plain network"
        )


def _train_run(ablation: Ablation, variant: Variant, seed: int) -> None:
    folder = ablation.run_folder(variant, seed)
    ablation.log(f"training {folder.name} -> {folder}")
    train(
        ablation.run_config(variant, seed), ablation.data, folder,
        resume=True,
        # The whole backbone must fit; otherwise variants would start differently.
        backbone_from=ablation.backbone_from or ablation.start_from, fitting_from=ablation.start_from,
        workers=ablation.workers, progress=False,
    )  # fmt: skip


def count_loaded_tensors(ablation: Ablation, variant: Variant) -> tuple[int, int]:
    """Returns how many tensors of a variant start from the given weights, and how many it has.

    Raises:
        WeightsError: There are no such weights, or their backbone does not fit.
    """
    network = build(ablation.run_config(variant))
    names = set(network.state_dict())
    if ablation.start_from is not None:
        load_backbone(network, ablation.start_from)
        return len(names - load_fitting(network, ablation.start_from)), len(names)
    if ablation.backbone_from is not None:
        load_backbone(network, ablation.backbone_from)
        return sum(name.startswith("backbone.") for name in names), len(names)
    return 0, len(names)


def measure_runs(ablation: Ablation, benchmark: Benchmark, resamples: int = 1000, seed: int = 0) -> BenchmarkResult:
    """Measures all finished runs, and compares each variant with the plain one.

    Poses are predicted in the annotated boxes, without flip test.

    Args:
        ablation: The runs.
        benchmark: The images.
        resamples: The number of bootstrap resamples of images and seeds.
        seed: The random seed of the resamples.

    Raises:
        RSGNetError: No run of the plain variant is finished, an image cannot be read, or the benchmark's files have
            different keypoints.
    """
    trained = {variant: ablation.trained_seeds(variant) for variant in ablation.variants}
    if not trained[PLAIN]:
        raise RSGNetError(
            f"{ablation.out}: no run of the variant {PLAIN.name!r} is trained to its end; nothing to compare"
        )
    metrics: dict[str, dict[int, BootstrapMetrics]] = {}
    for variant, seeds in trained.items():
        for run_seed in seeds:
            images, skeleton = _match_run(ablation, variant, run_seed, benchmark)
            # Equal arguments give all runs the same resamples.
            counts = bootstrap_counts(len(images), resamples, seed)
            run_metrics = bootstrap_run_metrics(images, skeleton, counts)
            metrics.setdefault(variant.name, {})[run_seed] = run_metrics
    people = sum(int(image.counted.sum()) for image in images)
    means = {
        name: compute_seed_means(list(runs.values()), bootstrap_seed_weights(len(runs), resamples, seed))
        for name, runs in metrics.items()
    }
    return BenchmarkResult(benchmark.name, len(images), people, means, _compare_with_plain(metrics, resamples, seed))


def _compare_with_plain(
    metrics: Mapping[str, Mapping[int, BootstrapMetrics]], resamples: int, seed: int
) -> dict[str, dict[str, PairedDifference]]:
    """Returns each variant's differences to the plain one, over the seeds of which both are trained."""
    differences = {}
    plain = metrics[PLAIN.name]
    for name, runs in metrics.items():
        shared = [run_seed for run_seed in runs if run_seed in plain]
        if name != PLAIN.name and shared:
            differences[name] = compute_paired_differences(
                [runs[run_seed] for run_seed in shared],
                [plain[run_seed] for run_seed in shared],
                bootstrap_seed_weights(len(shared), resamples, seed),
            )
    return differences


def _match_run(
    ablation: Ablation, variant: Variant, seed: int, benchmark: Benchmark
) -> tuple[list[MatchedImage], Skeleton]:
    """Returns the benchmark's images with the poses of one run, which are predicted unless they exist."""
    run = ablation.run_folder(variant, seed)
    model = run / MODEL_DIRECTORY
    images: list[MatchedImage] = []
    skeletons: list[Skeleton] = []
    for files in benchmark.files:
        truth = read_annotations(files.annotations)
        out = ablation.out / "poses" / run.name / f"{files.annotations.parent.name}-{files.annotations.stem}"
        if not has_poses(out, model, "gt", flip_test=False, boxes_file=files.annotations):
            ablation.log(f"{run.name}: poses on {files.annotations}")
            predict_poses(out, model, truth, files.images, "gt", flip_test=False)
        results = read_keypoint_results(out / RESULTS_FILE, truth)
        images += match_images(truth, results, choose_protocol(truth))
        skeletons.append(truth.skeleton)
        if truth.skeleton != skeletons[0]:
            raise RSGNetError(f"{files.annotations}: has other keypoints than {benchmark.files[0].annotations}")
    return images, skeletons[0]
