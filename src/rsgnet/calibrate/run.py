"""Reliability curves of a calibration as one HTML page, with nothing to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from rsgnet.annotations.catalog import labels_and_images
from rsgnet.annotations.readers import read_annotations
from rsgnet.calibrate.fit import CONTESTED, Calibration, calibrate
from rsgnet.calibrate.samples import CalibrationSamples, collect, join
from rsgnet.config_files import OWNERSHIP_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.plots import PLOT_STYLE, Line, line_plot
from rsgnet.files import write_text
from rsgnet.inference.runtime.network import OpenedRunner, flip_test_of, open_runner
from rsgnet.inference.weights import find_weights
from rsgnet.skeletons import skeleton_named

MEANINGS = {
    "present": "the keypoint is labelled for this person and lies in the crop",
    "visible": "it is labelled as visible, too",
    "owned": "the place found is right and this person's, if the keypoint is present",
    CONTESTED: "the same, where another person of the image claims the place, too",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem;
  background: Canvas; color: CanvasText; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 2rem; }
.note { opacity: .75; font-size: .9rem; }
"""


def reliability_html(calibration: Calibration, weights: str) -> str:
    """The page.

    Args:
        calibration: What to tell.
        weights: What the weights were asked for by.
    """
    sections = []
    for name, curve in calibration.curves.items():
        line = Line(name, curve.probabilities.tolist(), curve.frequencies.tolist())
        plot = line_plot([line], name, "share come true", diagonal=True, dots=True)
        note = (
            f"How likely {MEANINGS[name]}. {calibration.claims[name]} keypoints; expected calibration error "
            f"{curve.expected_calibration_error:.3f}."
        )
        sections.append(f'<section><h2>{name}</h2><p class="note">{note}</p>{plot}</section>')
    heading = f"{weights} on {calibration.ownership.fitted_on}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{_STYLE}{PLOT_STYLE}</style></head>"
        f'<body><h1>Whose keypoints</h1><p class="note">{escape(heading)}. Each image is told by a fit on other '
        "images; on the dashed line probabilities can be believed.</p>"
        f"<main>{''.join(sections)}</main></body></html>"
    )


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
    if runner.config.model.candidates is not None and not runner.gives_candidates:
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
) -> list[CalibrationSamples]:
    found: list[CalibrationSamples] = []
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
