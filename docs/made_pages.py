"""A hook of mkdocs that generates pages: the commands from typer, the package's reference from its docstrings.

It also adds the reference and the decisions to the navigation. Generated pages are never files, so they are never out
of date.
"""

import html
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import rsgnet

# Modules and packages that have a page in the reference, with its first line. Commands have a page from typer.
REFERENCE = {
    "inference": "From images to poses, in numpy.",
    "poses": "The poses of one image.",
    "skeletons": "Keypoints, edges, limbs and sigmas.",
    "skeleton_tables": "Skeletons of published data sets.",
    "annotations": "Label formats, read and written, and their checks.",
    "crowds": "Crowds with exact labels, drawn or of real people.",
    "data": "Training crops and their augmentation. Needs `rsgnet[train]`.",
    "evaluation": "Official figures, intervals, error types, tracking.",
    "calibrate": "Fits of the ownership probabilities.",
    "model": "The network, one part of the paper per module. Needs `rsgnet[train]`.",
    "training": "Losses and training runs. Needs `rsgnet[train]`.",
    "scaleout": "Millions of images on Ray. Needs `rsgnet[ray]`.",
    "export": "Networks for ONNX Runtime and OpenVINO. Needs `rsgnet[train]`.",
    "pretrained": "Starts from networks that others published. Needs `rsgnet[train]`.",
    "checkpoint": "Model directories and published checkpoints. Needs `rsgnet[train]`.",
    "config": "Settings of networks.",
    "training_config": "Settings of training.",
    "config_files": "Settings read from and written to files.",
    "presets": "The networks of the paper's tables, and those that ship.",
    "heatmaps": "Keypoints to heatmaps and back.",
    "geometry": "Boxes, and the affine maps between an image and a crop.",
    "overlays": "Poses drawn over images.",
    "overlay_marks": "Strokes, rings and legends of overlays.",
    "draw": "Colours, heatmaps and sheets of tiles.",
    "server": "The HTTP service.",
    "errors": "The exceptions.",
}
_PACKAGE = Path(rsgnet.__file__).parent
_WORKER_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"  # that the theme's plugin `offline` names
_DECISIONS = Path(__file__).parent / "decisions"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the reference and the decisions to the navigation."""
    assert config.nav is not None
    modules = [{f"rsgnet.{name}": f"reference/{name}.md"} for name in REFERENCE]
    reference = [{"Commands": "reference/commands.md"}, {"rsgnet": "reference/rsgnet.md"}, *modules]
    decisions = [{_title(path): f"decisions/{path.name}"} for path in sorted(_DECISIONS.glob("*.md"))]
    config.nav += [{"Reference": reference}, {"Decisions": decisions}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages to the site."""
    pages = {"commands": commands_page(), "rsgnet": names_page(), **{name: module_page(name) for name in REFERENCE}}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Gives readers the reason in the title of a block that the tests do not run, without the mark for the tests."""
    return re.sub(r'title="not run by the tests: (.)', lambda found: f'title="{found[1].upper()}', markdown)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Loads the search's worker for pages on disk from the site instead of from elsewhere."""
    root = "../" * page.file.dest_uri.count("/")
    return output.replace(_WORKER_ELSEWHERE, f"{root}offline_worker.js")


def on_post_template(output_content: str, template_name: str, **_: object) -> str:
    """Does the same for the page of addresses that do not exist, which names its files from the root."""
    return output_content.replace(_WORKER_ELSEWHERE, "/offline_worker.js")


def commands_page() -> str:
    """Returns the page of all commands from `typer utils docs`, with examples as code blocks."""
    command = [sys.executable, "-m", "typer", "rsgnet.cli", "utils", "docs", "--name", "rsgnet", "--title", "Commands"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    text = re.sub(r'<span style="font-weight: bold">(.*?)</span>', r"**\1**", text)
    text = re.sub(r'<span style="color: #7f7f7f[^>]*>(Examples:)</span>\n', r"\1\n", text)
    text = re.sub(r"(?:^  \S.*\n\n?)+", _format_examples, text, flags=re.MULTILINE)
    return re.sub(r"```.*?```|`[^`\n]*`|\\?\[", _unescape_code, text, flags=re.DOTALL)


def names_page() -> str:
    """Returns the page of the public names, `rsgnet.__all__`."""
    members = "".join(f"        - {name}\n" for name in rsgnet.__all__)
    return f"# rsgnet\n\n::: rsgnet\n    options:\n      show_root_heading: false\n      members:\n{members}"


def module_page(name: str) -> str:
    """Returns the page of a module, or of all modules of a package."""
    folder = _PACKAGE / name
    paths = [path.relative_to(_PACKAGE).with_suffix("") for path in sorted(folder.rglob("[!_]*.py"))] or [Path(name)]
    modules = [f"rsgnet.{'.'.join(path.parts)}" for path in paths]
    return "\n".join([f"# rsgnet.{name}\n", f"{REFERENCE[name]}\n", *(f"::: {module}\n" for module in modules)])


def _format_examples(lines: re.Match[str]) -> str:
    """Returns indented example commands as a code block."""
    commands = [html.unescape(line.strip()) for line in lines[0].splitlines() if line.strip()]
    return "\n".join(["```sh", *commands, "```", "", ""])


def _unescape_code(found: re.Match[str]) -> str:
    """Returns code without HTML entities, and brackets escaped, since they begin no link."""
    return html.unescape(found[0]) if found[0].startswith("`") else r"\["


def _title(decision: Path) -> str:
    """Returns a decision's number and heading, for the navigation."""
    heading = decision.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"{int(decision.name[:4])}. {heading}"
