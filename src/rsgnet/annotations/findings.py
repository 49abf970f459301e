"""Findings: the problems that readers and checks report about labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from rsgnet.errors import AnnotationError, ImageError
from rsgnet.files import is_utf8

BROKEN_ENTRY = "broken-entry"

# Problems that make training and evaluation on the labels wrong.
FAULTS = {
    BROKEN_ENTRY: "an entry that cannot be used at all",
    "unknown-category": "an annotation of a category that the file does not list",
    "num-keypoints": "num_keypoints is not the number of labelled keypoints",
    "bad-visibility": "a visibility other than 0, 1 and 2",
    "duplicate-image-id": "several images with the same id",
    "duplicate-file-name": "several images with the same file",
    "duplicate-annotation-id": "several annotations with the same id",
    "duplicate-person": "one person annotated twice",
    "missing-size": "an image without width and height",
    "swapped-size": "width and height are swapped",
    "wrong-size": "width and height differ from those of the file",
    "missing-image": "the image file is absent",
    "unreadable-image": "the image file cannot be read as an image",
    "empty-box": "a box less than a pixel wide or high",
    "box-outside": "a box that extends beyond the image",
    "keypoint-outside-image": "a labelled keypoint outside the image",
    "keypoint-outside-box": "a visible keypoint outside its person's box, or most keypoints far outside it",
    "left-right": "left and right contradict each other in a way that hardly any posture explains",
    "same-image-in-both": "the same file in two splits",
    "near-image-in-both": "a slightly changed copy of an image in another split",
}
# Unusual labels that are often correct.
WARNINGS = {
    "hidden-outside-box": "a hidden keypoint far outside its person's box",
    "left-right-doubtful": "left and right seem to contradict each other",
    "repeated-image": "the same file twice in one split",
    "crowd-index": "the given crowdIndex differs much from the computed one",
}


@dataclass(frozen=True)
class Finding:
    """One problem of one item of a data set.

    Attributes:
        kind: A key of `FAULTS` or `WARNINGS`.
        what: The problem in words.
        image_id: The id of the image; None where it is not known.
        file_name: The file of the image; "" where it is not known.
        annotation_id: The id of the person; None where the problem is not about a person.
        entry: The name of the item where it has no ids.
    """

    kind: str
    what: str
    image_id: int | None = None
    file_name: str = ""
    annotation_id: int | None = None
    entry: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether the finding is a fault rather than a warning."""
        return self.kind in FAULTS

    @property
    def where(self) -> str:
        """The name of the item, such as `image 3 (a.jpg), annotation 5`."""
        names = [self.entry] if self.entry else []
        if self.image_id is not None:
            names.append(f"image {self.image_id} ({self.file_name})" if self.file_name else f"image {self.image_id}")
        if self.annotation_id is not None:
            names.append(f"annotation {self.annotation_id}")
        return ", ".join(names) or self.file_name


FindingHandler = Callable[[Finding], None]


def raise_if_broken(finding: Finding) -> None:
    """Handles a finding as plain reading does: raises for a broken entry and ignores every other finding.

    Raises:
        AnnotationError: The finding is a broken entry.
    """
    if finding.kind == BROKEN_ENTRY:
        raise AnnotationError(f"{finding.where}: {finding.what}")


@contextmanager
def report_entry_errors(on_finding: FindingHandler, name: str) -> Iterator[None]:
    """Reports an error of the block as a broken entry called `name`; execution then continues after the block."""
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
    on_finding(Finding(BROKEN_ENTRY, what, entry=name))


def validate_file_name(name: object) -> str:
    """Returns an image's file name after checking that it stays inside the image folder.

    Raises:
        AnnotationError: The name is not a string, empty, not Unicode, absolute, or leaves the folder by `..`.
    """
    if not isinstance(name, str) or not name.strip():
        raise AnnotationError(f"file name must be a non-empty string, not {name!r}")
    if not is_utf8(name):
        raise AnnotationError(f"file name {name!r} has half a character, which no text can have; correct it")
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts:
        raise AnnotationError(f"file name {name!r} names a folder")
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
        raise AnnotationError(f"file name {name!r} leads out of the image folder; write it relative to that folder")
    return name
