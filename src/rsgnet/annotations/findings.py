"""What readers and checks say of labels that are wrong, and how plain reading takes it: by refusing the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from rsgnet.errors import AnnotationError, ImageError

BROKEN = "broken-entry"

# Whoever trains on these, or measures with them, gets wrong figures.
FAULTS = {
    BROKEN: "an entry that cannot be used at all",
    "unknown-category": "an annotation of a category that the file does not list",
    "num-keypoints": "num_keypoints is not how many keypoints are labelled",
    "bad-visibility": "a visibility other than 0, 1 and 2",
    "duplicate-image-id": "two images share an id",
    "duplicate-file-name": "two images share a file",
    "duplicate-annotation-id": "two annotations share an id",
    "duplicate-person": "one person annotated twice",
    "missing-size": "an image without width and height",
    "swapped-size": "width and height are swapped",
    "wrong-size": "width and height are not the file's",
    "missing-image": "the file is absent",
    "unreadable-image": "the file is no image that can be read",
    "empty-box": "a box less than a pixel wide or high",
    "box-outside": "a box beyond the image",
    "keypoint-outside-image": "a labelled keypoint beyond the image",
    "keypoint-outside-box": "a visible keypoint outside its person's box, or most of them far outside",
    "left-right": "left and right contradict each other, as hardly any posture explains",
    "same-image-in-both": "the same file in two splits",
    "near-image-in-both": "an image in two splits, once changed a little",
}
# Worth a look, and often right.
WARNINGS = {
    "hidden-outside-box": "a hidden keypoint far outside its person's box",
    "left-right-doubtful": "left and right seem to contradict each other",
    "repeated-image": "the same file twice in one split",
    "crowd-index": "the given crowdIndex is far from the computed one",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one item of a data set.

    Attributes:
        kind: A key of `FAULTS` or `WARNINGS`.
        what: What is wrong with this one.
        image_id: The image's id, None where it is not known.
        file_name: The image's file, "" where it is not known.
        annotation_id: The person's id, None where it is about no person.
        entry: The item's name where it has no ids to go by.
    """

    kind: str
    what: str
    image_id: int | None = None
    file_name: str = ""
    annotation_id: int | None = None
    entry: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it is a fault, not a warning."""
        return self.kind in FAULTS

    @property
    def where(self) -> str:
        """The item, named for people: `image 3 (a.jpg), annotation 5`."""
        names = [self.entry] if self.entry else []
        if self.image_id is not None:
            names.append(f"image {self.image_id}" + (f" ({self.file_name})" if self.file_name else ""))
        if self.annotation_id is not None:
            names.append(f"annotation {self.annotation_id}")
        return ", ".join(names) or self.file_name


Report = Callable[[Finding], None]


def refuse(finding: Finding) -> None:
    """Takes findings as plain reading does.

    Raises:
        AnnotationError: The entry cannot be used; anything else is left to `rsgnet data check`.
    """
    if finding.kind == BROKEN:
        raise AnnotationError(f"{finding.where}: {finding.what}")


@contextmanager
def entry(report: Report, name: str) -> Iterator[None]:
    """Reports what goes wrong in reading one entry, and goes on behind the block."""
    try:
        yield
    except (AnnotationError, ImageError) as error:
        what = str(error)
    except KeyError as error:
        what = f"has no {error.args[0]}"
    except (TypeError, ValueError, OverflowError, AttributeError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"
    else:
        return
    report(Finding(BROKEN, what, entry=name))


def inner_path(name: object) -> str:
    """An image's file name, once it is certain to stay below the folder it is looked for in.

    Raises:
        AnnotationError: It is no text, is empty, is absolute or climbs out by `..`.
    """
    if not isinstance(name, str) or not name.strip():
        raise AnnotationError(f"file name must be a text, not {name!r}")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
        raise AnnotationError(f"file name {name!r} leads out of the image folder; write it relative to that folder")
    return name
