"""Reading images that nobody vouches for: any mode, any orientation, bounded size, one clear error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from rsgnet.errors import ImageError
from rsgnet.files import require_content
from rsgnet.geometry import Floats, invert_affine

RGBImage = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"})
MAX_PIXELS = 100_000_000
_ROWS_AT_ONCE = 64
# What a file is, its content says, not its name. None of these starts another program, as EPS starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


def read_image(path: str | PathLike[str], max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Reads an image file as people see it: EXIF orientation applied, any mode brought to 8-bit RGB.

    Args:
        path: The file.
        max_pixels: Images with more pixels than this are refused before they are decoded.

    Returns:
        (height, width, 3) RGB.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or over the limit.
    """
    with _opened(Path(path), max_pixels) as image:
        return rgb_array(ImageOps.exif_transpose(image))


def decode_image(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Reads the content of an image file that somebody sent, as `read_image` reads a file.

    Args:
        content: The bytes of a JPEG, PNG, WebP, GIF, BMP, TIFF or PPM file.
        name: What messages call it.
        max_pixels: Images with more pixels than this are refused before they are decoded.

    Returns:
        (height, width, 3) RGB.

    Raises:
        ImageError: It is empty, truncated, not such an image, or over the limit.
    """
    if not content:
        raise ImageError(f"{name}: the file is empty")
    with _decoding(BytesIO(content), name, max_pixels) as image:
        return rgb_array(ImageOps.exif_transpose(image))


def image_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Width and height in pixels of an image file as people see it, EXIF orientation applied; nothing is decoded.

    Raises:
        ImageError: The file is missing, empty, or not an image.
    """
    with _opened(Path(path), MAX_PIXELS) as image:
        return _upright_size(image)


def grey_thumbnail(path: str | PathLike[str], size_wh: tuple[int, int]) -> tuple[RGBImage, tuple[int, int]]:
    """An image file scaled down without its colours, whatever its shape; decodes all of it, so breaks are found.

    Args:
        path: The file.
        size_wh: Width and height of the thumbnail.

    Returns:
        (height, width) grey, and the whole image's width and height.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or over the limit.
    """
    with _opened(Path(path), MAX_PIXELS) as image:
        whole_wh = _upright_size(image)
        image.draft("L", (8 * size_wh[0], 8 * size_wh[1]))  # JPEG need not be decoded in full detail
        upright = Image.fromarray(rgb_array(ImageOps.exif_transpose(image)))
        return np.asarray(upright.convert("L").resize(size_wh, Image.Resampling.BOX)), whole_wh


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else image.size


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    require_content(path, ImageError)
    with _decoding(path, str(path), max_pixels) as image:
        yield image


@contextmanager
def _decoding(file: Path | BytesIO, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """Opens an image; whatever goes wrong with it in the block becomes a `ImageError` that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit is lower than ours and speaks of attacks
            with Image.open(file, formats=_FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise ImageError(
                        f"{name}: {image.width}x{image.height} is over the limit of {max_pixels} pixels; "
                        "scale it down or raise the limit"
                    )
                yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image of a known kind; is it truncated?") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large to decode safely ({error}); scale it down") from error
    except Exception as error:  # a hostile file can make a decoder raise anything
        raise ImageError(f"{name}: not an image that can be read ({error}); is it truncated?") from error


def rgb_array(image: Image.Image) -> RGBImage:
    """(height, width, 3) 8-bit RGB of a PIL image of any mode; deep greys are scaled, alpha is laid on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(np.asarray(image), image.mode == "F")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


def _from_deep_grey(grey: NDArray[Any], floats: bool) -> RGBImage:
    """Some rows at a time, as doubles of all of a large image take a gigabyte."""
    highest = float(np.max(grey, initial=0))
    top = 65535.0 if not floats or highest > 255 else (255.0 if highest > 1 else 1.0)
    image = np.empty((*grey.shape, 3), np.uint8)
    for start in range(0, len(grey), _ROWS_AT_ONCE):
        rows = grey[start : start + _ROWS_AT_ONCE].astype(np.float64) * (255.0 / top)
        image[start : start + _ROWS_AT_ONCE] = np.nan_to_num(rows).clip(0, 255).round()[..., None]
    return image


def as_image(image: object, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Brings a path, a PIL image, an RGB array or a (3, H, W) tensor to an 8-bit RGB array.

    Args:
        image: A path; a PIL image; a numpy array (H, W, 3) or (H, W), uint8, or floats in 0..1, channels RGB;
            or a torch tensor (3, H, W) of the same ranges.
        max_pixels: The limit for files.

    Returns:
        (height, width, 3) RGB.

    Raises:
        ImageError: The shape, type or range is none of these.
    """
    if isinstance(image, (str, PathLike)):
        return read_image(image, max_pixels)
    if isinstance(image, Image.Image):
        try:
            return rgb_array(ImageOps.exif_transpose(image))
        except Exception as error:  # PIL reads lazily, so a broken file shows only here
            raise ImageError(f"a PIL image cannot be decoded ({error}); is its file truncated?") from error
    if type(image).__module__.partition(".")[0] == "torch":
        array = image.detach().cpu().numpy()  # type: ignore[attr-defined]
        if array.ndim != 3 or array.shape[0] != 3:
            raise ImageError(f"a tensor image has shape (3, H, W), this one {tuple(array.shape)}")
        array = array.transpose(1, 2, 0)
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise ImageError(f"an image is a path, PIL image, numpy array or tensor, not {type(image).__name__}")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise ImageError(f"an array image has shape (H, W, 3) in RGB, this one {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageError("a float image holds finite values in 0..1; for 0..255 pass uint8")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(f"an array image is uint8 or float, this one {array.dtype}")
    return np.ascontiguousarray(array)


def warp(image: RGBImage, matrix: Floats, size_wh: tuple[int, int]) -> RGBImage:
    """Cuts a crop out of an image by an affine map, bilinear, black outside the image.

    Where the crop is less than half the image's scale the image is box-averaged first, so that large photos do not
    alias.

    Args:
        image: (H, W, 3) RGB; or (H, W, 4) with opacity, by which colours are weighed, or (H, W) of one channel.
        matrix: (2, 3) the map from image pixel indices to crop pixel indices.
        size_wh: Width and height of the crop.

    Returns:
        (height, width, ...) the crop, of the image's channels.
    """
    seen, inverse = window(image, matrix, size_wh)
    if not seen.size:
        return np.zeros((size_wh[1], size_wh[0], *image.shape[2:]), np.uint8)
    opened, back = Image.fromarray(np.ascontiguousarray(seen)), inverse.ravel().tolist()
    return np.asarray(opened.transform(size_wh, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR))


def window(image: RGBImage, matrix: Floats, size_wh: tuple[int, int]) -> tuple[RGBImage, Floats]:
    """The part of an image that a crop shows, box-averaged where the crop is far smaller; the arguments are `warp`'s.

    Returns:
        The part, with a margin, empty where the crop lies beside the image; and (2, 3) the map to it. This map
        counts from the corners of pixels, as Pillow does, where the maps elsewhere count from their middles.
    """
    inverse = invert_affine(matrix)
    inverse[:, 2] += 0.5 - inverse[:, :2] @ [0.5, 0.5]
    factor = int(np.sqrt(abs(np.linalg.det(inverse[:, :2]))))
    corners = np.array([[0, 0], [size_wh[0], 0], [0, size_wh[1]], size_wh], np.float64)
    places = corners @ inverse[:, :2].T + inverse[:, 2]
    margin, whole_wh = max(factor, 2), image.shape[1::-1]
    left, top = np.clip(np.floor(places.min(0)) - margin, 0, whole_wh).astype(int)
    right, bottom = np.clip(np.ceil(places.max(0)) + margin, 0, whole_wh).astype(int)
    seen = image[top:bottom, left:right]
    inverse[:, 2] -= left, top
    if factor < 2 or not seen.size:
        return seen, inverse
    return np.asarray(Image.fromarray(np.ascontiguousarray(seen)).reduce(factor)), inverse / factor
