"""Pages that mkdocs makes while it builds: the commands out of typer, the package out of its docstrings, the decisions.

They are no files, so they cannot go stale.
"""

import html
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import rsgnet

# Modules and packages that have a page of their own; the commands have theirs out of typer.
REFERENCE = {
    "inference": "From images to poses, in numpy.",
    "poses": "The value that leaves the pipeline.",
    "skeletons": "Keypoints, edges, limbs and sigmas.",
    "annotations": "Label formats in and out, and their checks.",
    "crowds": "Simulated crowds, drawn and of real people.",
    "data": "Training crops and their augmentation. Needs `rsgnet[train]`.",
    "evaluation": "Official figures, intervals, kinds of errors, tracking.",
    "calibrate": "Fitting ownership.",
    "model": "The network, one part of the paper a module. Needs `rsgnet[train]`.",
    "training": "Losses and runs. Needs `rsgnet[train]`.",
    "scaleout": "Millions of images on Ray. Needs `rsgnet[ray]`.",
    "export": "Networks for ONNX Runtime and OpenVINO. Needs `rsgnet[train]`.",
    "checkpoint": "Model directories and published checkpoints. Needs `rsgnet[train]`.",
    "config": "Settings of networks.",
    "training_config": "Settings of training.",
    "config_files": "Settings in and out of files, and the files of a model directory.",
    "presets": "The rows of the paper's tables, and the networks that ship.",
    "heatmaps": "Keypoints to heatmaps and back.",
    "geometry": "Boxes, and the map between an image and a crop.",
    "draw": "People over an image.",
    "server": "The service.",
    "errors": "The exceptions.",
}
_PACKAGE = Path(rsgnet.__file__).parent
_DECISIONS = Path(__file__).parent / "decisions"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fills the sections of the navigation that follow from the package and from the folder of decisions."""
    assert config.nav is not None
    modules = [{f"rsgnet.{name}": f"reference/{name}.md"} for name in REFERENCE]
    reference = [{"Commands": "reference/commands.md"}, {"rsgnet": "reference/rsgnet.md"}, *modules]
    decisions = [{_title(path): f"decisions/{path.name}"} for path in sorted(_DECISIONS.glob("*.md"))]
    config.nav += [{"Reference": reference}, {"Decisions": decisions}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    pages = {"commands": commands_page(), "rsgnet": names_page(), **{name: module_page(name) for name in REFERENCE}}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def commands_page() -> str:
    """Every command with its arguments and options, as `typer utils docs` tells them; examples as code."""
    command = [sys.executable, "-m", "typer", "rsgnet.cli", "utils", "docs", "--name", "rsgnet", "--title", "Commands"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    told = re.sub(r'<span style="font-weight: bold">(.*?)</span>', r"**\1**", told)
    told = re.sub(r'<span style="color: #7f7f7f[^>]*>(Examples:)</span>\n', r"\1\n", told)
    told = re.sub(r"(?:^  \S.*\n\n?)+", _example, told, flags=re.MULTILINE)
    return re.sub(r"```.*?```|`[^`\n]*`|\\?\[", _literal, told, flags=re.DOTALL)


def names_page() -> str:
    """The public names, which none but `rsgnet.__all__` lists."""
    members = "".join(f"        - {name}\n" for name in rsgnet.__all__)
    return f"# rsgnet\n\n::: rsgnet\n    options:\n      show_root_heading: false\n      members:\n{members}"


def module_page(name: str) -> str:
    """A module, or all modules of a package."""
    folder = _PACKAGE / name
    paths = [path.relative_to(_PACKAGE).with_suffix("") for path in sorted(folder.rglob("[!_]*.py"))] or [Path(name)]
    modules = [f"rsgnet.{'.'.join(path.parts)}" for path in paths]
    return "\n".join([f"# rsgnet.{name}\n", f"{REFERENCE[name]}\n", *(f"::: {module}\n" for module in modules)])


def _example(lines: re.Match[str]) -> str:
    commands = [html.unescape(line.strip()) for line in lines[0].splitlines() if line.strip()]
    return "\n".join(["```sh", *commands, "```", "", ""])


def _literal(found: re.Match[str]) -> str:
    """Code as it is meant, and brackets that begin no link."""
    return html.unescape(found[0]) if found[0].startswith("`") else r"\["


def _title(decision: Path) -> str:
    """Its number in the folder, and its heading without another one."""
    heading = decision.read_text(encoding="utf-8").partition("\n")[0]
    return f"{int(decision.name[:4])}. {re.sub(r'^# ([0-9]+[.] )?', '', heading)}"
