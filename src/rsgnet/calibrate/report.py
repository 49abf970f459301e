"""Reliability curves of a calibration as one HTML page, with nothing to load."""

from __future__ import annotations

from html import escape

from rsgnet.calibrate.fit import CONTESTED, Calibration
from rsgnet.evaluation.plots import PLOT_STYLE, Line, line_plot

MEANINGS = {
    "present": "the keypoint is labelled for this person and lies in the crop",
    "visible": "it is labelled as visible, too",
    "mine": "the place found is right and this person's, if the keypoint is present",
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
