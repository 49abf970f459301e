"""Model directories from the Hugging Face Hub and to it. Only the files that such a directory has ever travel.

What the hub holds besides, pickles above all, is neither fetched nor read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsgnet.errors import RSGNetError, WeightsError, needing
from rsgnet.inference.model_card import CARD_FILE, model_card
from rsgnet.model_files import CONFIG_FILE, DERIVED_FILES, ONNX_FILE, WEIGHTS_FILE

HUB_PREFIX = "hub:"
HUB_FILES = (CONFIG_FILE, WEIGHTS_FILE, *DERIVED_FILES, CARD_FILE)


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
    with needing(f"{HUB_PREFIX}{name}", "hub"):
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
    with needing("push_to_hub", "hub"):
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
