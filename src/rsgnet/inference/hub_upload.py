"""Uploading a model directory to the Hugging Face Hub, with a model card that is made of its config."""

from __future__ import annotations

from pathlib import Path

import yaml

from rsgnet.config import PoseConfig
from rsgnet.config_files import ONNX_FILE, OPENVINO_FILE, OWNERSHIP_FILE, WEIGHTS_FILE, from_json
from rsgnet.errors import RSGNetError, WeightsError, requires_extra
from rsgnet.inference.ownership import PROBABILITY_FIELDS, Ownership
from rsgnet.inference.weights import (
    CARD_FILE,
    HUB_FILES,
    HUB_PREFIX,
    WeightFiles,
    hub_errors,
    parse_config,
    read_config_text,
)
from rsgnet.skeletons import get_skeleton

_FENCE = "---\n"


def upload_to_hub(
    directory: str | Path,
    repo_id: str,
    *,
    license: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> str:
    """Uploads a model directory with a model card in one commit; creates the repository if there is none.

    Args:
        directory: A model directory. Its README.md becomes the card; without one the card is written from the config.
        repo_id: `USER/MODEL`.
        license: The weights' licence by the hub's name, such as `apache-2.0`; needed unless README.md has front matter.
        private: Whether a repository that is created is private.
        revision: The branch to commit to.
        token: As in `download_from_hub`.

    Returns:
        The URL of the commit.

    Raises:
        RSGNetError: huggingface_hub is not installed, or no licence is named.
        WeightsError: The directory holds no pose network, or the hub refuses.
    """
    directory = Path(directory)
    with requires_extra("push_to_hub", "hub"):
        from huggingface_hub import CommitOperationAdd, HfApi  # noqa: PLC0415
    card = render_model_card(directory, repo_id, license)
    files = list_hub_files(directory)
    operations = [CommitOperationAdd(path.name, path) for path in files if path.name != CARD_FILE]
    operations.append(CommitOperationAdd(CARD_FILE, card.encode()))
    api = HfApi(token=token)
    with hub_errors(f"{HUB_PREFIX}{repo_id}", "uploaded"):
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.create_commit(repo_id, operations, commit_message="Upload an RSGNet model", revision=revision)
        return str(commit.commit_url)


def list_hub_files(directory: Path) -> list[Path]:
    """Returns the files of a model directory that are uploaded.

    Raises:
        WeightsError: There is no network among them.
    """
    files = [directory / name for name in HUB_FILES if (directory / name).is_file()]
    if not {WEIGHTS_FILE, ONNX_FILE} & {path.name for path in files}:
        raise WeightsError(f"{directory}: holds neither {WEIGHTS_FILE} nor {ONNX_FILE}")
    return files


def render_model_card(directory: Path, repo_id: str, license: str | None = None) -> str:
    """Renders the card to publish: the directory's README.md, or a card made of the config, under front matter.

    Args:
        directory: A pose network's model directory. A README.md that has front matter is returned unchanged.
        repo_id: `USER/MODEL`, under which the model will be found.
        license: The weights' licence by the hub's name.

    Raises:
        RSGNetError: Neither the front matter nor `license` names a licence.
        WeightsError: It is no pose network's model directory, or its config or ownership fit is broken.
    """
    config_text = read_config_text(WeightFiles(directory / ONNX_FILE, directory))
    assert config_text is not None
    config = parse_config(PoseConfig, config_text, directory)
    readme = directory / CARD_FILE
    text = readme.read_text(encoding="utf-8") if readme.is_file() else _describe_model(directory, config, repo_id)
    if text.startswith(_FENCE):
        return text
    if not license:
        raise RSGNetError(f"{directory}: under which licence are these weights? name it: license='apache-2.0'")
    front_matter = {
        "license": license,
        "library_name": "rsgnet",
        "pipeline_tag": "keypoint-detection",
        "tags": ["pose-estimation", "keypoints", "crowds", *(["onnx"] if (directory / ONNX_FILE).is_file() else [])],
    }
    return f"{_FENCE}{yaml.safe_dump(front_matter, sort_keys=False)}{_FENCE}\n{text}"


def _describe_model(directory: Path, config: PoseConfig, repo_id: str) -> str:
    model, training = config.model, config.training
    skeleton = get_skeleton(model.skeleton)
    width, height = config.crop.size_wh
    facts = {
        "keypoints": f"{len(skeleton)}, {skeleton.name}: {', '.join(skeleton.keypoints)}",
        "backbone": model.backbone,
        "input": f"crops of {height}x{width} (height, width), heatmaps at stride {config.crop.stride}",
        "relation parser": model.relation_kind,
        "skeleton graph": "yes" if model.skeleton_graph else "no",
        "recipe": f"{training.epochs} epochs, {training.optimizer}, learning rate {training.learning_rate:g}, "
        f"batch {training.batch_size}, seed {training.seed}",
        "runs in": ", ".join(_list_libraries(directory)),
        "probabilities": _describe_calibration(directory / OWNERSHIP_FILE),
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


def _list_libraries(directory: Path) -> list[str]:
    libraries = {
        ONNX_FILE: "ONNX Runtime (no PyTorch needed)",
        OPENVINO_FILE: "OpenVINO",
        WEIGHTS_FILE: "PyTorch",
    }
    return [name for file, name in libraries.items() if (directory / file).is_file()]


def _describe_calibration(path: Path) -> str:
    if not path.is_file():
        return "none; `rsgnet calibrate` fits them"
    try:
        ownership = from_json(Ownership, path.read_bytes(), str(path))
    except RSGNetError as error:
        raise WeightsError(f"broken ownership fit: {error}") from error
    errors = ownership.calibration_errors or {}
    listed = ", ".join(f"{name} {errors[name]:.3f}" for name in PROBABILITY_FIELDS if name in errors)
    return f"fitted on {ownership.fitted_on or 'unnamed data'}" + (f"; calibration errors {listed}" if listed else "")
