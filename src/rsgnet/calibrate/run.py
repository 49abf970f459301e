"""Calibrates the weights of a network: fits their probabilities on labelled images, shows and stores the fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rsgnet.annotations.catalog import resolve_labels_and_images
from rsgnet.annotations.readers import read_annotations
from rsgnet.calibrate.fit import CONTESTED, Calibration, calibrate
from rsgnet.calibrate.samples import CalibrationSamples, collect_samples, concatenate_samples
from rsgnet.config_files import OWNERSHIP_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.plots import Line, render_lines, render_page, render_section
from rsgnet.files import write_text
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.open_network import carries_config, open_network
from rsgnet.inference.weights import find_weights, parse_named_file
from rsgnet.skeletons import get_skeleton

_MEANINGS = {
    "present": "that the keypoint is labelled for this person and lies in the crop",
    "visible": "that it is also labelled as visible",
    "owned": "that the predicted position is correct and belongs to this person, if the keypoint is present",
    CONTESTED: "the same, where another person of the image may own the position, too",
}


def calibrate_weights(
    weights: str | Path,
    data: Sequence[str],
    *,
    flip_test: bool | None = None,
    backend: str = "onnx",
    device: str = "auto",
    report: Callable[[object, object], None] = lambda *_: None,
) -> Calibration:
    """Fits the probabilities of a network's weights.

    Args:
        weights: A shipped name, a model directory or an .onnx file (for OpenVINO also an .xml file); or a published
            network as `open_network` takes it.
        data: Labels that the network was not trained on, each `LABELS[:IMAGES_DIR]`.
        flip_test: Whether to average with the mirrored crops; as the weights say where None.
        backend: "onnx", "torch" or "openvino".
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        report: Called after each person's crop with the data and the samples.

    Raises:
        RSGNetError: The weights or labels cannot be used, or the labels do not suffice.
    """
    network = open_network(weights, backend, device, ownership=False)
    if network.config.model.candidates is not None and not network.capabilities.gives_candidates:
        raise RSGNetError(f"{weights}: its network file is of an older form, without candidates; run: rsgnet export")
    flip = network.resolve_flip_test(flip_test)
    samples = concatenate_samples(_collect_all(network, data, flip, report))
    keypoints = get_skeleton(network.config.model.skeleton).keypoints
    calibration = calibrate(samples, keypoints, network.capabilities.gives_candidates, flip)
    names = ", ".join(Path(text.split(":")[0]).name for text in data)
    fitted_on = f"{names}: {len(set(samples.images.tolist()))} images, {len(samples)} keypoints"
    return replace(calibration, ownership=replace(calibration.ownership, fitted_on=fitted_on))


def _collect_all(
    network: PoseNetwork, data: Sequence[str], flip: bool, report: Callable[[object, object], None]
) -> list[CalibrationSamples]:
    collected: list[CalibrationSamples] = []
    first_image = 0
    for text in data:
        try:
            files = resolve_labels_and_images(text)
        except RSGNetError as error:
            raise RSGNetError(f"--data {text}: {error}") from error
        truth = read_annotations(files.annotations)
        for samples in collect_samples(network, truth, files.images, flip, first_image):
            collected.append(samples)
            report(text, samples)
        first_image += len(truth.images)
    return collected


def save_ownership(calibration: Calibration, weights: str | Path) -> Path:
    """Writes a fit to `ownership.json` in the model directory and into the network files.

    Files of other projects are left as they are: their fit goes into a file of their name beside them.

    Args:
        calibration: The fit.
        weights: The weights that were calibrated.

    Returns:
        The file that predictions read the fit from.

    Raises:
        ImportError: A library that writes network files is missing; `ownership.json` is written before, where the
            weights are a directory.
    """
    named, text = parse_named_file(weights), to_json(calibration.ownership)
    if named is not None and not named.path.is_dir() and not carries_config(named):
        write_text(named.ownership, text)
        return named.ownership
    files = find_weights(weights)
    if files.directory is not None:
        write_text(files.directory / OWNERSHIP_FILE, text)
    for path in filter(Path.is_file, files.networks):
        from rsgnet.export.network_files import embed_ownership  # noqa: PLC0415

        embed_ownership(path, text)
    return files.onnx if files.directory is None else files.directory / OWNERSHIP_FILE


def render_reliability(calibration: Calibration, weights: str) -> str:
    """Returns the reliability curves as one HTML page that loads nothing else.

    Args:
        calibration: The fit.
        weights: The name of the weights, for the title.
    """
    sections = []
    for name, quality in calibration.qualities.items():
        curves = {name: quality.curve, "score": quality.raw_curve}
        lines = [Line(each, curve.probabilities.tolist(), curve.frequencies.tolist()) for each, curve in curves.items()]
        plot = render_lines(lines, name, "observed frequency", diagonal=True, dots=True)
        note = (
            f"The probability {_MEANINGS[name]}. {quality.count} keypoints; expected calibration error "
            f"{quality.curve.expected_calibration_error:.3f}, of the network's own score "
            f"{quality.raw_curve.expected_calibration_error:.3f}; area under the ROC curve {quality.auc:.3f} and "
            f"{quality.raw_auc:.3f}."
        )
        sections.append(render_section(name, note, plot))
    title = f"{weights} on {calibration.ownership.fitted_on}"
    note = f"{title}. Each image is predicted by a fit on other images. Curves on the dashed line are calibrated."
    return render_page(title, "Keypoint ownership", note, sections)
