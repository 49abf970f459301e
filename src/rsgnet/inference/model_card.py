"""The model card of a model directory: front matter for the Hub, and what there is to say about the weights."""

from __future__ import annotations

from pathlib import Path

import yaml

from rsgnet.config import PoseConfig
from rsgnet.config_files import (
    CONFIG_FILE,
    ONNX_FILE,
    OPENVINO_FILE,
    OWNERSHIP_FILE,
    WEIGHTS_FILE,
    from_json,
    network_config,
)
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.ownership import CLAIMS, Ownership
from rsgnet.skeletons import skeleton_named

CARD_FILE = "README.md"
_FENCE = "---\n"


def model_card(directory: Path, repo_id: str, license: str | None = None) -> str:
    """The card to publish: README.md of the directory, under front matter if it has none; or one made of the config.

    Args:
        directory: A pose network's model directory.
        repo_id: `USER/MODEL`, under which it will be found.
        license: The weights' licence in the hub's words.

    Raises:
        RSGNetError: Neither the front matter nor `license` names a licence.
        WeightsError: It is no pose network's model directory, or its config or ownership fit is broken.
    """
    config = _pose_config(directory)
    own = directory / CARD_FILE
    text = own.read_text(encoding="utf-8") if own.is_file() else _described(directory, config, repo_id)
    if text.startswith(_FENCE):
        return text
    if not license:
        raise RSGNetError(f"{directory}: under which licence are these weights? name it: license='apache-2.0'")
    matter = {
        "license": license,
        "library_name": "rsgnet",
        "pipeline_tag": "keypoint-detection",
        "tags": ["pose-estimation", "keypoints", "crowds", *(["onnx"] if (directory / ONNX_FILE).is_file() else [])],
    }
    return f"{_FENCE}{yaml.safe_dump(matter, sort_keys=False)}{_FENCE}\n{text}"


def _pose_config(directory: Path) -> PoseConfig:
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise WeightsError(f"{directory}: not a model directory: it holds no {CONFIG_FILE}")
    try:
        config = network_config(path.read_bytes(), str(path))
    except RSGNetError as error:
        raise WeightsError(f"broken config: {error}") from error
    if not isinstance(config, PoseConfig):
        raise WeightsError(f"{directory}: these are not the weights of a pose network")
    return config


def _described(directory: Path, config: PoseConfig, repo_id: str) -> str:
    model, training = config.model, config.training
    skeleton = skeleton_named(model.skeleton)
    width, height = config.crop.size_wh
    facts = {
        "keypoints": f"{len(skeleton)}, {skeleton.name}: {', '.join(skeleton.keypoints)}",
        "backbone": model.backbone,
        "input": f"crops of {height}x{width} (height, width), heatmaps at stride {config.crop.stride}",
        "relation parser": model.relation_kind,
        "skeleton graph": "yes" if model.skeleton_graph else "no",
        "recipe": f"{training.epochs} epochs, {training.optimizer}, learning rate {training.learning_rate:g}, "
        f"batch {training.batch_size}, seed {training.seed}",
        "runs in": ", ".join(_engines(directory)),
        "probabilities": _calibration(directory / OWNERSHIP_FILE),
    }
    table = "\n".join(f"| {name} | {fact} |" for name, fact in facts.items())
    return f"""# {config.name}

A network of [RSGNet](https://ojs.aaai.org/index.php/AAAI/article/view/16206): everyone's keypoints in a person's box
first, then those of the box's own person.

```python
from rsgnet import PoseEstimator

poses = PoseEstimator.from_pretrained("{repo_id}")("photo.jpg")
```

| | |
|---|---|
{table}

## Data, figures, limits

Whoever published these weights has not yet said what they were trained on, what `rsgnet evaluate` measured, and where
they fail.
"""


def _engines(directory: Path) -> list[str]:
    engines = {ONNX_FILE: "ONNX Runtime (no PyTorch needed)", OPENVINO_FILE: "OpenVINO"}
    return [
        *(name for file, name in engines.items() if (directory / file).is_file()),
        *(["PyTorch"] if (directory / WEIGHTS_FILE).is_file() else []),
    ]


def _calibration(path: Path) -> str:
    if not path.is_file():
        return "none; `rsgnet calibrate` fits them"
    try:
        fit = from_json(Ownership, path.read_bytes(), str(path))
    except RSGNetError as error:
        raise WeightsError(f"broken ownership fit: {error}") from error
    errors = fit.calibration_errors or {}
    told = ", ".join(f"{claim} {errors[claim]:.3f}" for claim in CLAIMS if claim in errors)
    return f"fitted on {fit.fitted_on or 'unnamed data'}" + (f"; calibration errors {told}" if told else "")
