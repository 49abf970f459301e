"""What the ways to read a place off a heatmap are worth: the same network and boxes, decoded in each of them.

`python benchmarks/decoding.py ANNOTATIONS.json IMAGES_DIR [--weights nano] [--flip] [--draws 1000]`

"none" takes the highest pixel, "quarter" moves it a quarter of a pixel towards its higher neighbour (the paper, HRNet),
"taylor" moves it to the top of the Taylor expansion about it (DARK), "expected_oks" takes the place of the highest
expected similarity. Poses are ranked as the weights rank them, and, with `--heights`, by the heights of heatmaps alone.
Boxes are the truth's; differences are to "quarter".
"""

import argparse
from dataclasses import replace
from pathlib import Path

from predicted import poses_of

from rsgnet.annotations.readers import Annotations, read_annotations
from rsgnet.evaluation.assessment import assess
from rsgnet.evaluation.results import Results
from rsgnet.inference.runtime.network import open_runner

REFINEMENTS = ("quarter", "none", "taylor", "expected_oks")


def decoded(truth: Annotations, refinement: str, arguments: argparse.Namespace) -> Results:
    """The poses of everyone, read off the heatmaps in one way."""
    runner = open_runner(arguments.weights, ownership=not arguments.heights)
    crop, decode = runner.config.crop, runner.config.decode
    runner.config = replace(
        runner.config,
        crop=replace(crop, padding=arguments.padding or crop.padding),
        decode=replace(decode, refinement=refinement),
    )
    return poses_of(runner, truth, arguments.images, str(arguments.weights), arguments.flip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--flip", action="store_true", help="average with the mirrored crop's heatmaps")
    parser.add_argument("--heights", action="store_true", help="rank poses by heatmaps, not by what is expected right")
    parser.add_argument("--padding", type=float, help="how much wider than the box crops are; as the weights say")
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    truth = read_annotations(arguments.annotations)
    print(f"{arguments.weights}, {truth.path.name}, flip test {arguments.flip}")
    usual = decoded(truth, REFINEMENTS[0], arguments)
    for refinement in REFINEMENTS:
        results = usual if refinement == REFINEMENTS[0] else decoded(truth, refinement, arguments)
        other = None if results is usual else usual
        assessment = assess(truth, results, "auto", other, resamples=arguments.draws)
        shown = (f"{name} {assessment.figures[name]:.4f}" for name in ("AP", "AP50", "AP75"))
        line = " ".join((f"{refinement:12}", *shown))
        if assessment.comparison is not None:
            apart = assessment.comparison.differences["AP"]
            line += f"   AP {apart.value:+.4f} ({apart.low:+.4f} to {apart.high:+.4f})"
        print(line, flush=True)


if __name__ == "__main__":
    main()
