"""Measures how many changed copies `rsgnet data check --against` finds, and how many other photos it takes for copies.

    python benchmarks/leak_audit.py val.json:images --against coco:val2017 --held-out photos/

Copies are made of some of the labelled images, whose hashes must be among those of --against. The held-out folder holds
photos that are in no such set; each one found is printed, to be looked at.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from rsgnet.annotations.catalog import resolve_labels_and_images
from rsgnet.annotations.hash_files import read_hashed_sets
from rsgnet.annotations.image_hashes import hash_image, match_similar_images
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import ImageError

Change = Callable[[Image.Image], Image.Image]


def scaled(factor: float) -> Change:
    return lambda image: image.resize((round(image.width * factor), round(image.height * factor)))


def cut(share: float) -> Change:
    return lambda image: image.crop((round(image.width * share), round(image.height * share), *image.size))


CHANGES: dict[str, tuple[Change, int]] = {  # with the quality of the JPEG
    "half size": (scaled(0.5), 92),
    "larger by a quarter": (scaled(1.25), 75),
    "stretched to 416x416": (lambda image: image.resize((416, 416)), 92),
    "JPEG quality 30": (lambda image: image, 30),
    "brighter by 20 %": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), 92),
    "contrast 1.3": (lambda image: ImageEnhance.Contrast(image).enhance(1.3), 92),
    "grey": (lambda image: image.convert("L"), 92),
    "2 % cut at left and top": (cut(0.02), 92),
    "5 % cut at left and top": (cut(0.05), 92),
    "border of 2 %": (lambda image: ImageOps.expand(image, round(0.02 * image.width)), 92),
    "mirrored": (ImageOps.mirror, 92),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", help="LABELS:IMAGES_DIR")
    parser.add_argument("--against", default="coco:val2017", help="as for `rsgnet data check`")
    parser.add_argument("--held-out", type=Path, help="a folder of photos that are in no such set")
    parser.add_argument("--copies", type=int, default=300, help="images of which copies are made")
    options = parser.parse_args()
    known = {name: bits for each in read_hashed_sets(options.against) or [] for name, bits in each.bits.items()}
    files = resolve_labels_and_images(options.labels)
    names = [image.file_name for image in read_annotations(files.annotations).images if image.file_name in known]
    chosen = np.random.default_rng(0).choice(names, min(options.copies, len(names)), replace=False).tolist()
    print(f"| copies of {len(chosen)} images | found |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.jpg"
        for change, (apply, quality) in CHANGES.items():
            found = 0
            for name in chosen:
                with Image.open(files.images / name) as image:
                    apply(image.convert("RGB")).save(copy, quality=quality)
                found += any(match_similar_images([hash_image(copy).bits], [known[name]]))
            print(f"| {change} | {found / len(chosen):.1%} |", flush=True)
    if options.held_out is not None:
        measure_held_out(options.held_out, known)


def measure_held_out(folder: Path, known: dict[str, np.ndarray]) -> None:
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            hashes[path] = hash_image(path).bits
        except ImageError as error:
            print(error)
    names, paths = list(known), list(hashes)
    pairs = list(match_similar_images(list(hashes.values()), list(known.values())))
    for row, column in pairs:
        print(f"{paths[row]} is taken for {names[column]}")
    found = len({row for row, _ in pairs})
    print(f"held out: {found} of {len(paths)} photos taken for one of {len(known)} ({len(pairs)} pairs)")


if __name__ == "__main__":
    main()
