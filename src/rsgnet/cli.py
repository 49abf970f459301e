"""The command line: predict, evaluate, demo, train. Libraries are loaded by the command that needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rsgnet.errors import RSGNetError
from rsgnet.terminal import BAD_INPUT, BAD_PICTURES, fail, print_metrics, progress

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Weights = Annotated[str, typer.Option(help="A shipped name, a model directory, or an .onnx file.", metavar="NAME|PATH")]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if it is missing.", metavar="DIR")]
Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored crop; default: as the weights say.")
]
Backend = Annotated[str, typer.Option(help="onnx (ONNX Runtime) or torch (PyTorch).")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Crops in one run of the network.")]
MaxPixels = Annotated[int, typer.Option(min=1, help="Pictures with more pixels than this are refused.")]


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Everyone's pose in crowded pictures.

    First of all: [bold]rsgnet demo[/bold]
    """
    if version:
        import rsgnet  # noqa: PLC0415

        typer.echo(f"rsgnet {rsgnet.__version__}")
        raise typer.Exit()


@app.command(no_args_is_help=True)
def predict(
    sources: Annotated[list[str], typer.Argument(help="Pictures: files, folders, patterns.", metavar="SOURCE")],
    *,
    out: Out,
    weights: Weights = "nano",
    detector: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="nano, onnx:PATH, torchvision, boxes:PATH (COCO JSON) or full (the picture is one person).",
        ),
    ] = "nano",
    box_threshold: Annotated[
        float | None, typer.Option(help="Leave out people whom the detector scores less; default: as suits it.")
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option(help="coco17, crowdpose14 or people19; default: coco17 if the weights know it.")
    ] = None,
    flip: Flip = None,
    overlay: Annotated[bool, typer.Option(help="Draw a picture with the poses over it for each.")] = True,
    backend: Backend = "onnx",
    device: Device = "auto",
    batch_size: BatchSize = 32,
    max_pixels: MaxPixels = 100_000_000,
) -> None:
    """Find everyone's keypoints in pictures; write overlays and [bold]poses.json[/bold].

    [dim]Examples:[/dim]

      rsgnet predict photo.jpg --out out

      rsgnet predict holiday/ 'party/*.png' --out out --no-overlay

      rsgnet predict val/ --out out --detector boxes:person_keypoints_val2017.json

      rsgnet predict photo.jpg --out out --detector onnx:yolox_nano.onnx

      rsgnet predict photo.jpg --out out --weights runs/mine/model

    poses.json is a COCO results list; each result names its picture's file.

    A picture that cannot be read gets one line, the others are done, the exit code is 1.
    """
    from rsgnet.inference.estimator import PoseEstimator  # noqa: PLC0415
    from rsgnet.inference.predictions import overlay_names, write_predictions  # noqa: PLC0415
    from rsgnet.inference.sources import find_pictures  # noqa: PLC0415

    files = find_pictures(sources, skip=out)
    overlays = overlay_names(files, out) if overlay else None
    estimator = PoseEstimator(
        weights,
        detector,
        device=device,
        backend=backend,
        flip_test=flip,
        batch_size=batch_size,
        skeleton=skeleton,
        max_pixels=max_pixels,
        box_threshold=box_threshold,
    )
    with progress(len(files), out) as report:
        done = write_predictions(estimator.stream(files), out, overlays, report)
    typer.echo(f"{done.pictures} of {len(files)} pictures, {len(done.results)} people -> {out}", err=True)
    if detector.startswith("boxes:") and done.pictures and not done.results:
        fail(f"{detector.removeprefix('boxes:')}: holds boxes for none of these pictures", BAD_PICTURES)
    if done.errors:
        raise typer.Exit(BAD_PICTURES)


@app.command(no_args_is_help=True)
def evaluate(
    *,
    annotations: Annotated[Path, typer.Option(help="COCO-format keypoint annotations: the truth.", metavar="GT.json")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="The annotated pictures' folder.", metavar="DIR")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Evaluate these results instead of predicting.", metavar="R.json")
    ] = None,
    weights: Weights = "nano",
    boxes: Annotated[
        str | None, typer.Option(help="gt (the truth's boxes; the default) or COCO results.", metavar="gt|PATH")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Find the boxes: nano, onnx:PATH, torchvision.", metavar="SPEC")
    ] = None,
    flip: Flip = None,
    backend: Backend = "onnx",
    device: Device = "auto",
    batch_size: BatchSize = 32,
) -> None:
    """Measure average precision; write [bold]metrics.json[/bold], and [bold]poses.json[/bold] if poses are predicted.

    With --detector its boxes are measured too, and written to [bold]boxes.json[/bold].

    [dim]Examples:[/dim]

      rsgnet evaluate --annotations val.json --images val/ --out out

      rsgnet evaluate --annotations val.json --images val/ --detector nano --out out

      rsgnet evaluate --annotations val.json --results out/poses.json --out out
    """
    import json  # noqa: PLC0415

    from rsgnet.data.annotations import read_annotations  # noqa: PLC0415
    from rsgnet.evaluation.average_precision import box_average_precision, evaluate_keypoints  # noqa: PLC0415
    from rsgnet.files import write_text  # noqa: PLC0415
    from rsgnet.inference.annotated import annotated_files, boxes_for, detect_annotated, predict_annotated  # noqa: PLC0415
    from rsgnet.inference.detector import open_detector  # noqa: PLC0415
    from rsgnet.inference.estimator import PoseEstimator  # noqa: PLC0415
    from rsgnet.inference.predictions import write_predictions  # noqa: PLC0415

    truth = read_annotations(annotations)
    errors: list[RSGNetError] = []
    metrics: dict[str, float] = {}
    if (results is None) == (images is None):
        raise RSGNetError("evaluate needs either --images DIR, to predict, or --results R.json")
    if boxes is not None and detector is not None:
        raise RSGNetError("--boxes and --detector exclude each other: boxes are given or found")
    if results is not None:
        metrics = evaluate_keypoints(annotations, results)
    else:
        assert images is not None
        files = annotated_files(truth, images)
        if detector is not None:
            # Average precision wants the unsure ones too.
            found = detect_annotated(open_detector(detector, device, threshold=0.05), truth, images)
            write_text(out / "boxes.json", json.dumps(found))
            metrics = box_average_precision(annotations, found)
            boxes = str(out / "boxes.json")
        estimator = PoseEstimator(
            weights,
            boxes_for(truth, boxes or "gt"),
            device=device,
            backend=backend,
            flip_test=flip,
            batch_size=batch_size,
            skeleton=truth.skeleton,
        )
        with progress(len(files), out) as report:
            done = write_predictions(predict_annotated(estimator, truth, images), out, None, report)
        metrics, errors = metrics | evaluate_keypoints(annotations, done.results), done.errors
    write_text(out / "metrics.json", json.dumps(metrics, indent=2))
    print_metrics(metrics)
    if errors:
        raise typer.Exit(BAD_PICTURES)


@app.command()
def demo(
    photos: Annotated[list[str] | None, typer.Argument(help="Photos of yours to try.", metavar="PHOTO")] = None,
    *,
    out: Out = Path("rsgnet-demo"),
    seed: Annotated[int, typer.Option(help="Draws another crowd.")] = 0,
) -> None:
    """Draw a crowd, run everything on it, and on any photo named. Needs no network and no GPU.

    [dim]Examples:[/dim]

      rsgnet demo

      rsgnet demo my-photo.jpg --out out
    """
    from rsgnet.inference.demo import run_demo  # noqa: PLC0415

    with progress(None, out) as report:
        shown = run_demo(photos or [], out, report, seed)
    done = shown.predictions
    if shown.boxes_given:
        typer.echo(
            f"The detector, trained on photos, found {shown.found} of the {shown.people} drawn people: "
            "their true boxes were used."
        )
    typer.echo(f"{len(done.results)} people in {done.pictures} pictures:")
    for path in done.overlays:
        typer.echo(f"  {path}")
    typer.echo(f"  {out / 'poses.json'}")
    typer.echo(
        "Try next:\n"
        f"  rsgnet predict YOUR_PHOTOS/ --out {out}\n"
        f"  rsgnet evaluate --annotations {shown.truth} --images {out} --out {out / 'evaluation'}"
    )
    if done.errors:
        raise typer.Exit(BAD_PICTURES)


@app.command(no_args_is_help=True)
def train(
    preset: Annotated[
        str, typer.Argument(help="nano, detector-nano, or a row of the paper's tables.", metavar="PRESET")
    ],
    *,
    data: Annotated[
        list[str],
        typer.Option(help="ANNOTATIONS.json[:PICTURES_DIR][,weight=2][,partial]; repeatable.", metavar="DATA"),
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, curves and the model.", metavar="DIR")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the preset; repeatable.", metavar="KEY=VALUE")
    ] = None,
    validate: Annotated[str | None, typer.Option(help="What to validate on, as --data.", metavar="DATA")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    start_from: Annotated[
        Path | None, typer.Option(help="A model directory whose weights to start from.", metavar="DIR")
    ] = None,
    backbone_from: Annotated[
        Path | None, typer.Option(help="A model directory whose backbone to start from.", metavar="DIR")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut crops.")] = 1,
    validate_every: Annotated[int, typer.Option(min=1, help="Epochs between validations.")] = 1,
) -> None:
    """Train a network; leave its model directory in [bold]DIR/model[/bold]. Needs rsgnet\\[train].

    [dim]Examples:[/dim]

      rsgnet train nano --data coco.json:images --out runs/nano

      rsgnet train nano --data coco.json,weight=2 --data lspet.json,partial --out runs/nano

      rsgnet train nano --set training.batch_size=64 --data coco.json --out runs/nano

      rsgnet train nano --data coco.json:images --out runs/nano --resume
    """
    with _needing_the_train_extra():
        from rsgnet.training import run  # noqa: PLC0415
    model = run.train(
        preset,
        settings or [],
        data,
        out,
        validation=validate,
        resume=resume,
        start_from=start_from,
        backbone_from=backbone_from,
        workers=workers,
        validate_every=validate_every,
    )
    typer.echo(f"{model}\nTry next: rsgnet export {model}")


@app.command(no_args_is_help=True)
def export(
    model: Annotated[Path, typer.Argument(help="A model directory.", metavar="DIR")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write a model directory of its own here, weights halved.", metavar="DIR")
    ] = None,
) -> None:
    """Write [bold]model.onnx[/bold] beside a model's weights, for ONNX Runtime. Needs rsgnet\\[train].

    [dim]Examples:[/dim]

      rsgnet export runs/nano/model

      rsgnet export runs/nano/model --out small
    """
    with _needing_the_train_extra():
        from rsgnet import export as exporting  # noqa: PLC0415
    if out is not None:
        exporting.publish(model, out)
    typer.echo(f"Try next: rsgnet predict PHOTOS --out out --weights {exporting.export_onnx(out or model).parent}")


@contextmanager
def _needing_the_train_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise RSGNetError(f"this needs {error.name or 'PyTorch'}: pip install 'rsgnet[train]'") from error


def main() -> None:
    """The program. Input that cannot be used ends it with one line and exit code 2."""
    try:
        app()
    except RSGNetError as error:
        fail(str(error), BAD_INPUT)
    except OSError as error:
        fail(f"{error.filename or 'system'}: {error.strerror or error}", BAD_INPUT)
