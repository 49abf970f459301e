"""Where weights are found: those that ship, a model directory, a lone network file, or the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rsgnet.config import DetectorConfig, FasterRCNNConfig, NetworkConfig, PoseConfig
from rsgnet.config_files import (
    CONFIG_FILE,
    DERIVED_FILES,
    INT8_FILE,
    ONNX_FILE,
    OPENVINO_FILE,
    WEIGHTS_FILE,
    network_config,
)
from rsgnet.errors import RSGNetError, WeightsError, requires_extra
from rsgnet.files import read_bounded
from rsgnet.inference.model_card import CARD_FILE, model_card

Config = TypeVar("Config", PoseConfig, DetectorConfig)

SHIPPED = Path(__file__).parents[1] / "weights"
DETECTOR_PREFIX, HUB_PREFIX = "detector-", "hub:"
HUB_FILES = (CONFIG_FILE, WEIGHTS_FILE, *DERIVED_FILES, CARD_FILE)
_EXPECTED = f"a model directory ({CONFIG_FILE}, {ONNX_FILE}, {WEIGHTS_FILE}) an .onnx file, or {HUB_PREFIX}USER/MODEL"
_LONE_SUFFIXES = (".onnx", ".xml")


@dataclass(frozen=True)
class WeightFiles:
    """The files of one network.

    Attributes:
        onnx: The network for ONNX Runtime; may be missing in a directory that holds only safetensors. Of a lone file
            the file, which may be OpenVINO's.
        directory: The model directory, None for a lone file, which carries its config inside.
    """

    onnx: Path
    directory: Path | None = None

    @property
    def origin(self) -> Path:
        """What messages call it."""
        return self.directory or self.onnx

    @property
    def networks(self) -> list[Path]:
        """The network files that there may be."""
        if self.directory is None:
            return [self.onnx]
        return [self.directory / name for name in (ONNX_FILE, OPENVINO_FILE, INT8_FILE)]

    def network(self, backend: str, precision: str) -> Path:
        """The file that a back end runs; may be missing. In a directory OpenVINO prefers its own to the ONNX file.

        Args:
            backend: "onnx" or "openvino".
            precision: "int8" asks for the quantised network.
        """
        if self.directory is None or backend != "openvino":
            return self.onnx
        own = self.directory / (INT8_FILE if precision == "int8" else OPENVINO_FILE)
        return own if own.is_file() or precision == "int8" else self.onnx


def shipped_names(prefix: str = "") -> list[str]:
    """The names of the weights that come with the package: of pose networks, or with a prefix of detectors."""
    folders = [path.parent.name for path in sorted(SHIPPED.glob(f"*/{CONFIG_FILE}"))]
    wanted = [name for name in folders if name.startswith(DETECTOR_PREFIX) == (prefix == DETECTOR_PREFIX)]
    return [name.removeprefix(prefix) for name in wanted]


def find_weights(name_or_path: str | Path, prefix: str = "") -> WeightFiles:
    """The files that a name or a path means. Nothing of them is read yet, and no pickle ever is.

    Args:
        name_or_path: A shipped name, a model directory, an .onnx file (for OpenVINO also an .xml file), or
            "hub:USER/MODEL[@REVISION]", which is fetched.
        prefix: What the folders of the shipped ones begin with.

    Raises:
        WeightsError: It is none of these, the directory is incomplete, or the hub does not give it.
        RSGNetError: huggingface_hub is not installed.
    """
    named = str(name_or_path)
    path = fetch(named.removeprefix(HUB_PREFIX)) if named.startswith(HUB_PREFIX) else Path(name_or_path)
    if named in shipped_names(prefix):
        path = SHIPPED / f"{prefix}{name_or_path}"
    if path.is_dir():
        if not (path / CONFIG_FILE).is_file():
            raise WeightsError(f"{path}: has no {CONFIG_FILE}; expected {_EXPECTED}")
        return WeightFiles(path / ONNX_FILE, path)
    if path.is_file():
        if path.suffix.lower() not in _LONE_SUFFIXES:
            raise WeightsError(f"{path}: weights of this kind are not read; expected {_EXPECTED}")
        return WeightFiles(path)
    names = ", ".join(shipped_names(prefix)) or "none in this installation"
    raise WeightsError(f"no weights {named!r}; expected a shipped name ({names}), {_EXPECTED}")


def config_text(files: WeightFiles) -> str | None:
    """The JSON of a model directory's config, None for a lone file.

    Raises:
        WeightsError: It cannot be read.
    """
    if files.directory is None:
        return None
    path = files.directory / CONFIG_FILE
    try:
        return read_bounded(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error


def read_config(kind: type[Config], text: str, origin: object) -> Config:
    """The config that came with weights, checked to be of that kind.

    Raises:
        WeightsError: It is broken, or belongs to another kind of network.
    """
    config = any_config(text, origin)
    if isinstance(config, kind):
        return config
    if kind is DetectorConfig and isinstance(config, FasterRCNNConfig):
        raise WeightsError(f"{origin}: Faster R-CNN runs in PyTorch only: --detector DIR, without onnx:")
    what = "a person detector" if kind is DetectorConfig else "a pose network"
    raise WeightsError(f"{origin}: these are not the weights of {what}")


def any_config(text: str, origin: object) -> NetworkConfig:
    """The config that came with weights, of whichever kind.

    Raises:
        WeightsError: It is broken.
    """
    try:
        return network_config(text, str(origin))
    except RSGNetError as error:
        raise WeightsError(f"broken config: {error}") from error


def fetch(name: str, revision: str | None = None, token: str | None = None) -> Path:
    """The directory of a model of the hub, fetched unless the hub's own cache holds it.

    Args:
        name: `USER/MODEL`, or `USER/MODEL@REVISION`.
        revision: A branch, tag or commit, where the name gives none; a commit cannot change under one's hands.
        token: For models that are not public; as `hf auth login` keeps it where None.

    Raises:
        RSGNetError: huggingface_hub is not installed.
        WeightsError: There is no such model, or the hub cannot be reached.
    """
    with requires_extra(f"{HUB_PREFIX}{name}", "hub"):
        from huggingface_hub import snapshot_download  # noqa: PLC0415
    repo_id, _, named = name.partition("@")
    with _told(f"{HUB_PREFIX}{name}", "fetched"):
        return Path(snapshot_download(repo_id, revision=named or revision, token=token, allow_patterns=list(HUB_FILES)))


def push(
    directory: Path,
    repo_id: str,
    *,
    license: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> str:
    """Uploads a model directory in one commit, with a model card; makes the repository if it is not there.

    Args:
        directory: A model directory. Its README.md becomes the card, else one is written out of the config.
        repo_id: `USER/MODEL`.
        license: The weights' licence in the hub's words, `apache-2.0`; needed unless README.md has front matter.
        private: Whether a repository that is made is private.
        revision: The branch to commit to.
        token: As `fetch`.

    Returns:
        The commit's address.

    Raises:
        RSGNetError: huggingface_hub is not installed, or no licence is named.
        WeightsError: The directory holds no pose network, or the hub refuses.
    """
    with requires_extra("push_to_hub", "hub"):
        from huggingface_hub import CommitOperationAdd, HfApi  # noqa: PLC0415
    card = model_card(directory, repo_id, license)
    files = hub_files(directory)
    operations = [CommitOperationAdd(path.name, path) for path in files if path.name != CARD_FILE]
    operations.append(CommitOperationAdd(CARD_FILE, card.encode()))
    api = HfApi(token=token)
    with _told(f"{HUB_PREFIX}{repo_id}", "uploaded"):
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.create_commit(repo_id, operations, commit_message="Upload an RSGNet model", revision=revision)
        return str(commit.commit_url)


def hub_files(directory: Path) -> list[Path]:
    """The files of a model directory that travel.

    Raises:
        WeightsError: There is no network among them.
    """
    files = [directory / name for name in HUB_FILES if (directory / name).is_file()]
    if not {WEIGHTS_FILE, ONNX_FILE} & {path.name for path in files}:
        raise WeightsError(f"{directory}: holds neither {WEIGHTS_FILE} nor {ONNX_FILE}")
    return files


@contextmanager
def _told(name: str, done: str) -> Iterator[None]:
    try:
        yield
    except RSGNetError:
        raise
    except Exception as error:  # the HTTP library's own classes, which differ between versions of the hub's
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{name}: cannot be {done}: {reason}") from error
