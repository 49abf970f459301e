"""`rsgnet export`, `convert`, `calibrate`, `push` and `info`: commands about trained networks."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from rsgnet.cli.options import (
    Backend,
    Device,
    Flip,
    ModelDirectory,
    Network,
    name_network,
    parse_model_directory,
    parse_out_folder,
    parse_size,
)
from rsgnet.cli.terminal import print_metrics, show_progress
from rsgnet.errors import RSGNetError, requires_extra

if TYPE_CHECKING:
    from rsgnet.config import NetworkConfig
    from rsgnet.reproduce.tables import Row


_INFO_COLUMNS = ("", "parameters, M", "paper", "multiply-adds, G", "of which in layers", "as the paper counts", "paper")


def export(
    model: ModelDirectory,
    *,
    out: Annotated[
        Path | None,
        Option(
            help="Write a new model directory, with weights in half precision; else into MODEL.",
            metavar="DIR",
            parser=parse_out_folder,
        ),
    ] = None,
    to: Annotated[
        str, Option(help="onnx (model.onnx) or openvino (model.xml and model.bin).", metavar="FORMAT")
    ] = "onnx",
    with_flip: Annotated[bool, Option("--with-flip", help="Average with the mirrored crop inside the file.")] = False,
    with_decoding: Annotated[
        bool, Option("--with-decoding", help="Output keypoints in crop pixels and scores, not heatmaps.")
    ] = False,
    calibrate: Annotated[
        list[str] | None,
        Option(
            help="With --to openvino: also write model-int8.xml with 8-bit convolutions, whose ranges are measured on "
            "the crops of these labelled people; repeatable.",
            metavar="LABELS[:IMAGES_DIR]",
        ),
    ] = None,
) -> None:
    """Write a trained network for ONNX Runtime or OpenVINO.

    Needs rsgnet\\[train]; --calibrate needs rsgnet\\[int8]. Writes the file into the model directory, beside the
    weights, or with --out into a new one.

    Every file takes 8-bit RGB crops, any number at once, and contains its configuration, so that --backend onnx and
    --backend openvino know what it does inside. OpenVINO also runs model.onnx.

    [dim]Examples:[/dim]

      rsgnet export runs/nano/model
      rsgnet export runs/nano/model --out small
      rsgnet export runs/nano/model --with-flip --with-decoding
      rsgnet export nano --out nano-openvino --to openvino --calibrate people.json:images
    """
    with requires_extra("rsgnet export", "train"):
        from rsgnet.config import ExportOptions
        from rsgnet.export.directory import export_onnx, export_openvino, publish
    from rsgnet.config_files import SHIPPED

    if to not in ("onnx", "openvino"):
        raise RSGNetError(f"--to {to}: expected onnx or openvino")
    if calibrate and to != "openvino":
        raise RSGNetError("--calibrate: only OpenVINO runs 8-bit networks here: add --to openvino")
    if out is None and model.parent == SHIPPED:
        raise RSGNetError(f"export {model.name}: these weights belong to the installed package; add --out DIR")
    if out is not None:
        publish(model, out)
    directory, options = out or model, ExportOptions(with_flip, with_decoding)
    if to == "onnx":
        export_onnx(directory, options)
        switches = ""
    else:
        export_openvino(directory, options, calibrate or ())
        switches = f" --backend openvino{' --precision int8' if calibrate else ''}"
    typer.echo(f"Try next: rsgnet predict PHOTOS --out out --weights {directory}{switches}")


def convert(
    checkpoint: Annotated[Path, Argument(help="A .pth or .safetensors file.", metavar="CHECKPOINT")],
    *,
    out: Annotated[Path, Option(help="The model directory to write.", metavar="DIR", parser=parse_out_folder)],
    size: Annotated[
        str | None,
        Option(
            help="Width and height of the crops, such as 288x384 for a network named 384x288; default: 192x256. "
            "RSGNet's weights determine it themselves.",
            metavar="WIDTHxHEIGHT",
        ),
    ] = None,
) -> None:
    """Convert a published checkpoint (RSGNet's, or HRNet or SimpleBaseline for pose) into a model directory.

    Needs rsgnet\\[train]. The architecture (17 or 14 keypoints, HRNet's width, the stride) follows from the weights.
    Code in a checkpoint is never run.

    [dim]Examples:[/dim]

      rsgnet convert rsgnet_w32_256x192.pth --out out/rsgnet-w32
      rsgnet convert pose_hrnet_w32_384x288.pth --out out/hrnet-w32 --size 288x384
    """
    with requires_extra("rsgnet convert", "train"):
        from rsgnet.checkpoint import read_released, save_model
    size_wh = None
    if size is not None:
        size_wh = parse_size("--size", size, "WIDTHxHEIGHT, such as 192x256")
        if size_wh[0] > size_wh[1]:
            raise RSGNetError(f"--size {size}: crops of people are upright: WIDTHxHEIGHT, such as 192x256")
    model, config = read_released(checkpoint, size_wh)
    save_model(model, config, out)
    width, height = config.crop.size_wh
    typer.echo(
        f"{out}: {config.model.backbone}, {config.model.skeleton}, crops of {width}x{height}, "
        f"heatmaps at stride {config.crop.stride}, relation {config.model.relation_kind}\n"
        f"Try next: rsgnet export {out}\n"
        f"      or: rsgnet predict PHOTOS --out out --weights {out} --backend torch"
    )


def calibrate(
    weights: Annotated[
        str,
        Argument(
            help="Pose network: a shipped name, a model directory or an .onnx file; or a published network, onnx:FILE "
            "or openvino:FILE.",
            metavar="WEIGHTS",
        ),
    ],
    *,
    data: Annotated[
        list[str],
        Option(help="Labelled images that the network was not trained on; repeatable.", metavar="LABELS[:IMAGES_DIR]"),
    ],
    out: Annotated[
        Path | None,
        Option(
            help="Also write the reliability curves to DIR/reliability.html.", metavar="DIR", parser=parse_out_folder
        ),
    ] = None,
    network: Network = None,
    flip: Flip = None,
    backend: Backend = "onnx",
    device: Device = "auto",
) -> None:
    """Fit the probabilities that a keypoint is present, visible and the person's own.

    Needs rsgnet\\[train] where the weights have a model.onnx. Writes the fit to [bold]ownership.json[/bold] beside the
    weights and into their model.onnx; for a published network to NAME.ownership.json beside its file. Prints, cross-
    validated by image, the expected calibration error (ECE) of each probability, how well it orders keypoints (AUC,
    area under the ROC curve), and both for the network's own score.

    [dim]Examples:[/dim]

      rsgnet calibrate runs/nano/model --data val.json:val/
      rsgnet calibrate runs/nano/model --data val.json:val/ --data crowds/crowds.json --out out
      rsgnet calibrate onnx:vitpose-b.onnx --data val.json:val/
    """
    from rsgnet.calibrate.run import calibrate_weights, render_reliability, save_ownership
    from rsgnet.files import write_text

    weights = name_network(weights, network)
    with show_progress(None, Path(weights)) as report:
        found = calibrate_weights(weights, data, flip_test=flip, backend=backend, device=device, report=report)
    if out is not None:
        write_text(out / "reliability.html", render_reliability(found, weights))
    errors = {f"ECE of {name}": each.curve.expected_calibration_error for name, each in found.qualities.items()}
    errors |= {f"AUC of {name}": each.auc for name, each in found.qualities.items()}
    raw = {
        f"ECE of {name}": f"{each.raw_curve.expected_calibration_error:.4f}" for name, each in found.qualities.items()
    }
    raw |= {f"AUC of {name}": f"{each.raw_auc:.4f}" for name, each in found.qualities.items()}
    counts = {f"ECE of {name}": str(each.count) for name, each in found.qualities.items()}
    with requires_extra("rsgnet calibrate", "train"):
        written = save_ownership(found, weights)
    print_metrics(errors, {"of the raw score": raw, "keypoints": counts})
    typer.echo(f"{found.ownership.fitted_on} -> {written}", err=True)


def push(
    model: ModelDirectory,
    repo_id: Annotated[str, Argument(help="The repository on the Hub.", metavar="USER/MODEL")],
    *,
    license: Annotated[
        str | None, Option(help="Licence of the weights, unless README.md has front matter.", metavar="apache-2.0")
    ] = None,
    private: Annotated[bool, Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[str | None, Option(help="Branch to commit to.", metavar="BRANCH")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print the files and the model card; upload nothing.")] = False,
) -> None:
    """Upload a model directory with its model card to the Hugging Face Hub.

    Needs rsgnet\\[hub] and a login: hf auth login. README.md in the directory is the card; without one it is written
    from the config. To let people without PyTorch run the network, run rsgnet export first.

    [dim]Examples:[/dim]

      rsgnet push runs/mine/model me/my-poses --license apache-2.0 --dry-run
      rsgnet predict photo.jpg --out out --weights hub:me/my-poses
    """
    from rsgnet.inference.hub_upload import list_hub_files, render_model_card, upload_to_hub
    from rsgnet.inference.weights import HUB_PREFIX

    if dry_run:
        names = (path.name for path in list_hub_files(model))
        typer.echo(f"{render_model_card(model, repo_id, license)}\n{repo_id} would receive: {', '.join(names)}, card")
        return
    typer.echo(upload_to_hub(model, repo_id, license=license, private=private or None, revision=revision))
    typer.echo(f"Try next: rsgnet predict PHOTOS --out out --weights {HUB_PREFIX}{repo_id}")


def info(
    network: Annotated[
        str,
        Argument(
            help="A preset (nano, small, detector-nano, or one of the paper's), a model directory, or table2 for the "
            "paper's Table 2.",
            metavar="NETWORK",
        ),
    ] = "table2",
    machine: Annotated[
        bool,
        Option("--machine", help="Print instead what this processor has, and which back end auto chooses and why."),
    ] = False,
) -> None:
    """Print a network's parameters and multiply-adds beside the paper's figures.

    Without rsgnet\\[train] it prints what the files of shipped networks and model directories say, and counts no
    multiply-adds. These are counted in full, and also as the paper's tool counts them: convolutions and linear layers
    only, transposed convolutions four times, in units of 2^30.

    [dim]Examples:[/dim]

      rsgnet info
      rsgnet info rsgnet-w32-256x192-coco
      rsgnet info runs/mine/model
      rsgnet info --machine
    """
    if machine:
        from rsgnet.inference.runtime.engines import describe_processor, explain_choice

        typer.echo("\n".join(explain_choice(describe_processor())))
        return
    from rich.console import Console
    from rich.table import Table

    from rsgnet.config_files import SHIPPED

    directory = parse_model_directory(network)
    if find_spec("torch") is None and (network == "table2" or directory.is_dir()):
        _print_files(sorted(SHIPPED.iterdir()) if network == "table2" else [directory])
        return
    with requires_extra(f"rsgnet info {network}", "train"):
        from rsgnet.checkpoint import read_config
        from rsgnet.presets import preset_named
        from rsgnet.reproduce.tables import TABLE2

    (block,) = TABLE2.blocks
    table = Table(*_INFO_COLUMNS)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    if network == "table2":
        for row in block.rows:
            if row.preset:
                table.add_row(*_table_row(row.preset, preset_named(row.preset), row))
            else:
                parameters, gmacs = row.paper[:2]
                table.add_row(f"({row.method}, {row.backbone})", "", f"{parameters}", "", "", "", f"{gmacs:.2f}")
    else:
        config = read_config(Path(network)) if Path(network).is_dir() else preset_named(network)
        paper_row = next((row for row in block.rows if row.preset == network), None)
        table.add_row(*_table_row(network, config, paper_row))
    # At least as wide as the table, because output to a file has no width.
    Console(width=max(120, Console().width)).print(table)


def _print_files(directories: list[Path]) -> None:
    """Prints what can be read of networks without PyTorch."""
    from rsgnet.config import FasterRCNNConfig, PoseConfig
    from rsgnet.config_files import CONFIG_FILE, WEIGHTS_FILE, parse_network_config
    from rsgnet.inference.weights import count_parameters

    for directory in directories:
        if not (directory / CONFIG_FILE).is_file():
            continue
        config = parse_network_config((directory / CONFIG_FILE).read_bytes(), str(directory / CONFIG_FILE))
        parts = [f"{directory.name}: "]
        if isinstance(config, PoseConfig):
            network = f"{config.model.backbone}, {config.model.skeleton}"
            parts.append(f"pose network {network}, crops of {_size(config.crop)} (wide x high)")
        else:
            size = "" if isinstance(config, FasterRCNNConfig) else f", images of {_size(config)}"
            parts.append(f"person detector {config.name}{size}")
        if (directory / WEIGHTS_FILE).is_file():
            parts.append(f", {count_parameters(directory / WEIGHTS_FILE) / 1e6:.2f} M parameters")
        typer.echo("".join(parts))
    typer.echo("multiply-adds, and the paper's networks: pip install 'rsgnet[train]'", err=True)


def _size(config: Any) -> str:
    return f"{config.size_wh[0]}x{config.size_wh[1]}"


def _table_row(name: str, config: NetworkConfig, paper_row: Row | None) -> Iterator[str]:
    import torch

    from rsgnet.checkpoint import build
    from rsgnet.config import FasterRCNNConfig, PoseConfig
    from rsgnet.model.cost import count_cost

    if isinstance(config, FasterRCNNConfig):
        raise RSGNetError(f"{name}: the multiply-adds of Faster R-CNN depend on the image")
    with torch.device("meta"):
        network = build(config)
    cost = count_cost(network, config.crop.size_wh if isinstance(config, PoseConfig) else config.size_wh)
    yield name
    yield f"{cost.parameters / 1e6:.2f}"
    yield f"{paper_row.paper[0]}" if paper_row else ""
    yield f"{cost.macs / 1e9:.2f}"
    yield f"{cost.layer_macs / 1e9:.2f}"
    yield f"{cost.paper_gmacs:.2f}"
    yield f"{paper_row.paper[1]:.2f}" if paper_row else ""
