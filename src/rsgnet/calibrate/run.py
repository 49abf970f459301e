"""One calibration: open the network, see what it finds in labelled images, fit, keep the fit with the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rsgnet.calibrate.claims import Claims, collect, join
from rsgnet.calibrate.fit import Calibration, calibrate
from rsgnet.data.annotations import read_annotations
from rsgnet.data.catalog import labels_and_images
from rsgnet.errors import RSGNetError
from rsgnet.files import write_text
from rsgnet.inference.runner import OpenedRunner, flip_test_of, open_runner
from rsgnet.inference.weights import find_weights
from rsgnet.model_files import OWNERSHIP_FILE
from rsgnet.settings import to_json
from rsgnet.skeletons import skeleton_named


def calibrate_weights(
    weights: str | Path,
    data: Sequence[str],
    *,
    flip_test: bool | None = None,
    backend: str = "onnx",
    device: str = "auto",
    seed: int = 0,
    report: Callable[[object, object], None] = lambda *_: None,
) -> Calibration:
    """Fits a network's probabilities.

    Args:
        weights: A shipped name, a model directory or an .onnx file (for OpenVINO also an .xml file).
        data: Labels that the network was not trained on, each `LABELS[:IMAGES_DIR]`.
        flip_test: Whether to average with the mirrored crops; as the weights say where None.
        backend: "onnx", "torch" or "openvino".
        device: "auto", "cpu" or "cuda".
        seed: Seeds the boxes and the parts of the cross-fit.
        report: Told of each person's crop.

    Raises:
        RSGNetError: The weights or labels cannot be used, or do not suffice.
    """
    runner = open_runner(weights, backend, device, ownership=False)
    if runner.config.model.relation != "none" and not runner.gives_candidates:
        raise RSGNetError(f"{weights}: its network file is of an older form, without candidates; run: rsgnet export")
    flip = flip_test_of(runner, flip_test)
    claims = join(_collected(runner, data, flip, seed, report))
    keypoints = skeleton_named(runner.config.model.skeleton).keypoints
    calibration = calibrate(claims, keypoints, runner.gives_candidates, flip, seed)
    names = ", ".join(Path(text.split(":")[0]).name for text in data)
    told = f"{names}: {len(set(claims.images.tolist()))} images, {len(claims)} keypoints"
    return replace(calibration, ownership=replace(calibration.ownership, fitted_on=told))


def _collected(
    runner: OpenedRunner, data: Sequence[str], flip: bool, seed: int, report: Callable[[object, object], None]
) -> list[Claims]:
    found: list[Claims] = []
    first = 0
    for text in data:
        try:
            files = labels_and_images(text)
        except RSGNetError as error:
            raise RSGNetError(f"--data {text}: {error}") from error
        truth = read_annotations(files.annotations)
        for claims in collect(runner, truth, files.images, flip, seed, first):
            found.append(claims)
            report(text, claims)
        first += len(truth.images)
    return found


def keep(calibration: Calibration, weights: str | Path) -> Path:
    """Writes a fit to where the weights are: `ownership.json` beside them and into their network files.

    Args:
        calibration: The fit.
        weights: The weights that it was made on.

    Returns:
        The file that predictions read it from.

    Raises:
        ImportError: A library that writes them is missing; `ownership.json` is written before, where the weights are a
            directory.
    """
    files, text = find_weights(weights), to_json(calibration.ownership)
    if files.directory is not None:
        write_text(files.directory / OWNERSHIP_FILE, text)
    for path in filter(Path.is_file, files.networks):
        from rsgnet.export.directory import embed_ownership  # noqa: PLC0415

        embed_ownership(path, text)
    return files.onnx if files.directory is None else files.directory / OWNERSHIP_FILE
