"""The file layout of published data sets, and the notation for labels and images on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsgnet.annotations.readers import find_images_folder, split_label_path
from rsgnet.errors import RSGNetError


@dataclass(frozen=True)
class DataSetFiles:
    """A data set on disk.

    Attributes:
        annotations: The label file, as for `read_annotations`.
        images: The folder that the file names in it are relative to.
    """

    annotations: Path
    images: Path


@dataclass(frozen=True)
class _PublishedDataSet:
    """A published data set.

    Attributes:
        labels: The label file of each split, relative to the data set's folder.
        images: The image folder of each split, relative to the data set's folder.
        page: The web page that offers the data set.
        downloads: The files to download from there.
    """

    labels: dict[str, str]
    images: dict[str, str]
    page: str
    downloads: str


_CATALOG = {
    "crowdpose": _PublishedDataSet(
        {split: f"json/crowdpose_{split}.json" for split in ("train", "val", "trainval", "test")},
        dict.fromkeys(("train", "val", "trainval", "test"), "images"),
        "https://github.com/jeffffffli/CrowdPose",
        "images.zip and the annotations",
    ),
    "coco": _PublishedDataSet(
        {
            "train2017": "annotations/person_keypoints_train2017.json",
            "val2017": "annotations/person_keypoints_val2017.json",
            "test-dev2017": "annotations/image_info_test-dev2017.json",
        },
        {"train2017": "train2017", "val2017": "val2017", "test-dev2017": "test2017"},
        "https://cocodataset.org/#download",
        "2017 Train, Val or Test images, 2017 Train/Val annotations, for test-dev 2017 Testing Image info",
    ),
    "ochuman": _PublishedDataSet(
        {split: f"ochuman_coco_format_{split}_range_0.00_1.00.json" for split in ("val", "test")},
        dict.fromkeys(("val", "test"), "images"),
        "https://github.com/liruilong940607/OCHumanApi",
        "the images and the annotations",
    ),
}
DATA_SETS = tuple(f"{name}:{split}" for name, published in _CATALOG.items() for split in published.labels)


def find_data_set(root: str | Path, name: str) -> DataSetFiles:
    """Finds the files of a published data set on disk. Nothing is downloaded.

    Args:
        root: The data set's folder, or the folder that contains it under its name: `crowdpose`, `coco` or `ochuman`,
            in upper or lower case.
        name: One of `DATA_SETS`, such as `crowdpose:test` or `coco:test-dev2017`.

    Raises:
        RSGNetError: No data set has that name, or its files are missing; the message says where to download them.
    """
    if name not in DATA_SETS:
        raise RSGNetError(f"no data set is named {name!r}; there are {', '.join(DATA_SETS)}")
    title, _, split = name.partition(":")
    published, root = _CATALOG[title], Path(root)
    children = [child for child in sorted(root.iterdir()) if child.name.lower() == title] if root.is_dir() else []
    candidates = [
        DataSetFiles(folder / published.labels[split], folder / published.images[split]) for folder in (root, *children)
    ]
    for files in candidates:
        if files.annotations.is_file() and files.images.is_dir():
            return files
    partial = [files for files in candidates if files.annotations.is_file() or files.images.is_dir()]
    closest = (partial or candidates)[0]
    missing = [str(path) for path in (closest.annotations, closest.images) if not path.exists()]
    raise RSGNetError(
        f"{name}: {' and '.join(missing)} missing; download {published.downloads} from {published.page} "
        f"and unpack them so that {published.labels[split]} and {published.images[split]}/ lie in {root}"
    )


def resolve_labels_and_images(text: str, images: str | Path | None = None) -> DataSetFiles:
    """Returns the files of a data set written as `LABELS[:IMAGES_DIR]` or, for a published one, as `DIR:NAME`.

    Args:
        text: The data set. Without an image folder the default of `find_images_folder` is taken.
        images: The image folder to take instead where the text names none.

    Raises:
        RSGNetError: The labels or the data set do not exist.
    """
    images = Path(images) if images is not None else None
    labels, _, rest = text.partition(":")
    if Path(labels).is_dir():
        if not rest:
            raise RSGNetError(
                f"{labels} is a folder: name its label file, or a published data set in it as {labels}:NAME with NAME "
                f"one of {', '.join(DATA_SETS)}"
            )
        return find_data_set(labels, rest)
    label_file, _ = split_label_path(labels)
    if not label_file.is_file():
        raise RSGNetError(f"{label_file} does not exist")
    return DataSetFiles(Path(labels), Path(rest) if rest else images or find_images_folder(labels))
