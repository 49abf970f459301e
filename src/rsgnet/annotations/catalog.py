"""Where published data sets lie once they are downloaded, and how labels are named on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsgnet.annotations.readers import file_and_split, images_folder
from rsgnet.errors import RSGNetError


@dataclass(frozen=True)
class DataSetFiles:
    """A data set on disk.

    Attributes:
        annotations: Its label file, as `read_annotations` takes it.
        images: The folder that its file names are relative to.
    """

    annotations: Path
    images: Path


@dataclass(frozen=True)
class _Published:
    """How a data set is laid out below its folder, and where it is to be had."""

    labels: dict[str, str]
    images: dict[str, str]
    page: str
    downloads: str


_CATALOG = {
    "crowdpose": _Published(
        {split: f"json/crowdpose_{split}.json" for split in ("train", "val", "trainval", "test")},
        dict.fromkeys(("train", "val", "trainval", "test"), "images"),
        "https://github.com/jeffffffli/CrowdPose",
        "images.zip and the annotations",
    ),
    "coco": _Published(
        {
            "train2017": "annotations/person_keypoints_train2017.json",
            "val2017": "annotations/person_keypoints_val2017.json",
            "test-dev2017": "annotations/image_info_test-dev2017.json",
        },
        {"train2017": "train2017", "val2017": "val2017", "test-dev2017": "test2017"},
        "https://cocodataset.org/#download",
        "2017 Train, Val or Test images, 2017 Train/Val annotations, for test-dev 2017 Testing Image info",
    ),
    "ochuman": _Published(
        {split: f"ochuman_coco_format_{split}_range_0.00_1.00.json" for split in ("val", "test")},
        dict.fromkeys(("val", "test"), "images"),
        "https://github.com/liruilong940607/OCHumanApi",
        "the images and the annotations",
    ),
}
DATA_SETS = tuple(f"{name}:{split}" for name, published in _CATALOG.items() for split in published.labels)


def find_data_set(root: str | Path, name: str) -> DataSetFiles:
    """The files of a published data set. Nothing is downloaded.

    Args:
        root: The data set's folder, or a folder that holds it under its name: `crowdpose`, `coco`, `ochuman`, in any
            mixture of cases.
        name: One of `DATA_SETS`, such as `crowdpose:test` or `coco:test-dev2017`.

    Raises:
        RSGNetError: There is no data set of that name, or its files are not there; the message says where to get them.
    """
    if name not in DATA_SETS:
        raise RSGNetError(f"no data set is named {name!r}; there are {', '.join(DATA_SETS)}")
    title, _, split = name.partition(":")
    published, root = _CATALOG[title], Path(root)
    named = [child for child in sorted(root.iterdir()) if child.name.lower() == title] if root.is_dir() else []
    found = [DataSetFiles(at / published.labels[split], at / published.images[split]) for at in (root, *named)]
    for files in found:
        if files.annotations.is_file() and files.images.is_dir():
            return files
    wanted = next((files for files in found if files.annotations.is_file() or files.images.is_dir()), found[0])
    missing = [str(path) for path in (wanted.annotations, wanted.images) if not path.exists()]
    raise RSGNetError(
        f"{name}: {' and '.join(missing)} missing; download {published.downloads} from {published.page} "
        f"and unpack them so that {published.labels[split]} and {published.images[split]}/ lie in {root}"
    )


def labels_and_images(text: str, images: Path | None = None) -> DataSetFiles:
    """The files that `LABELS[:IMAGES_DIR]` means, or `DIR:NAME` with the folder and name of a published data set.

    Args:
        text: What was written. Without a folder images lie where the labels say, else in `images` beside them.
        images: The folder to take where the text names none.

    Raises:
        RSGNetError: The labels or the data set do not exist.
    """
    labels_text, _, rest = text.partition(":")
    if Path(labels_text).is_dir():
        return find_data_set(labels_text, rest)
    labels, _ = file_and_split(labels_text)
    if not labels.is_file():
        raise RSGNetError(f"{labels} does not exist")
    return DataSetFiles(Path(labels_text), Path(rest) if rest else images or images_folder(labels_text))
