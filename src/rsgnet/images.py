"""Reading untrusted images as 8-bit RGB, and cutting crops out of them.

Images may have any mode and any EXIF orientation; their size is bounded, and every failure is an `ImageError`.
"""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import SEEK_END, BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from rsgnet.errors import ImageError
from rsgnet.files import require_non_empty
from rsgnet.geometry import Floats, invert_affine

RGBImage = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"})
MAX_PIXELS = 100_000_000
MAX_SIDE_PX = 65_535  # of a JPEG; longer columns cost memory per row, whatever their pixels
MAX_JPEG_BYTES = 512 << 20
MAX_JPEG_SCANS = 100  # ordinary progressive files have ten; each costs as much time as decoding the whole image
CANVAS_GREY = 114  # that detectors expect where an image does not fill their input
_ROWS_PER_BLOCK = 64
# A file's content decides on its format, not its name. None of these starts another program, as EPS does.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_TEXT_FORMATS = (b"P1", b"P2", b"P3")  # PNM in decimal digits: Pillow's time is not bounded by their pixels
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
# Not one of the markers in a scan's data, and not one of those without a length.
_JPEG_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)


def read_image(path: str | PathLike[str], max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Reads an image file of any mode as 8-bit RGB, with its EXIF orientation applied.

    Args:
        path: The file.
        max_pixels: Larger images are refused before they are decoded.

    Returns:
        The (height, width, 3) RGB image.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or too large.
    """
    with _open_file(Path(path), max_pixels) as image:
        return _decode(image, str(path))


def decode_image(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Decodes the content of an image file as `read_image` decodes a file.

    Args:
        content: The bytes of a JPEG, PNG, WebP, GIF, BMP, TIFF or PPM file.
        name: The name of the image in error messages.
        max_pixels: Larger images are refused before they are decoded.

    Returns:
        The (height, width, 3) RGB image.

    Raises:
        ImageError: The content is empty, truncated, not such an image, or too large.
    """
    if not content:
        raise ImageError(f"{name}: the file is empty")
    with _open_image(BytesIO(content), name, max_pixels) as image:
        return _decode(image, name)


def read_image_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Reads the width and height of an image file in pixels, EXIF orientation applied, without decoding it.

    Raises:
        ImageError: The file is missing, empty, or not an image.
    """
    with _open_file(Path(path), MAX_PIXELS) as image:
        return _get_upright_size(image)


def read_grey_thumbnail(path: str | PathLike[str], size_wh: tuple[int, int]) -> tuple[RGBImage, tuple[int, int]]:
    """Reads an image file as a small grey image. The whole file is decoded, so that damage is found.

    Args:
        path: The file.
        size_wh: Width and height of the thumbnail; the aspect ratio is not kept.

    Returns:
        The (height, width) grey thumbnail, and the width and height of the image.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or too large.
    """
    with _open_file(Path(path), MAX_PIXELS) as image:
        image_wh = _get_upright_size(image)
        image.draft("L", (8 * size_wh[0], 8 * size_wh[1]))  # a JPEG need not be decoded in full detail
        upright = Image.fromarray(_decode(image, str(path)))
        return np.asarray(upright.convert("L").resize(size_wh, Image.Resampling.BOX)), image_wh


def _decode(image: Image.Image, name: str) -> RGBImage:
    if image.format in ("JPEG", "MPO"):
        _check_scans(image, name)
    ImageOps.exif_transpose(image, in_place=True)  # otherwise it copies even what needs no turning
    return pil_to_rgb(image)


def _get_upright_size(image: Image.Image) -> tuple[int, int]:
    is_rotated = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if is_rotated else image.size


@contextmanager
def _open_file(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    require_non_empty(path, ImageError)
    with _as_image_errors(str(path)), path.open("rb") as file, _open_image(file, str(path), max_pixels) as image:
        yield image


@contextmanager
def _open_image(file: IO[bytes], name: str, max_pixels: int) -> Iterator[Image.Image]:
    """Opens an image whose decoding takes bounded time and memory; raises `ImageError` for any other."""
    with _as_image_errors(name):
        head = file.read(2)
        file.seek(0)
        if head in _TEXT_FORMATS:
            raise ImageError(f"{name}: PNM images in decimal digits are not read; convert it to binary PNM or PNG")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of an attack at a lower limit than this module's
            with closing(Image.open(file, formats=_FORMATS)) as image:
                _check_size(image, name, max_pixels)
                yield image


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Raises ImageError where an image has too many pixels, or too long sides."""
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width}x{height} is over the limit of {max_pixels} pixels; scale it down or raise the limit"
        )
    if max(width, height) > MAX_SIDE_PX:
        raise ImageError(f"{name}: {width}x{height} is over the limit of {MAX_SIDE_PX} pixels a side; cut it up")


def _check_scans(image: Image.Image, name: str) -> None:
    """Raises ImageError where a JPEG file that was opened, but not decoded, has too many scans."""
    file = image.fp  # type: ignore[attr-defined]
    position, size = file.tell(), file.seek(0, SEEK_END)
    if size > MAX_JPEG_BYTES:
        raise ImageError(f"{name}: over {MAX_JPEG_BYTES} bytes, which is more than a JPEG file may have")
    file.seek(0)
    content = file.read(size)
    file.seek(position)
    if content.count(_JPEG_SCAN) <= MAX_JPEG_SCANS:
        return
    position, scans = 2, 0  # thumbnails and what follows the image have scans too, so segments are read one by one
    while (found := _JPEG_SEGMENT.search(content, position)) and found[0] != _JPEG_END:
        scans += found[0] == _JPEG_SCAN
        if scans > MAX_JPEG_SCANS:
            raise ImageError(f"{name}: a JPEG of more than {MAX_JPEG_SCANS} scans; save it as an ordinary one")
        position = found.end() + max(2, int.from_bytes(content[found.end() : found.end() + 2], "big"))


@contextmanager
def _as_image_errors(name: str) -> Iterator[None]:
    """Turns every error of the block into an `ImageError` that names the image, and holds no pixels if it is kept."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image of a known kind; is it truncated?") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large to decode safely ({error}); scale it down") from error
    except Exception as error:  # a malicious file can make a decoder raise any error
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, MemoryError) or "out of memory" in str(error):
            raise ImageError(f"{name}: not enough memory to decode it; scale it down") from error
        raise ImageError(f"{name}: not an image that can be read ({error}); is it truncated?") from error


def pil_to_rgb(image: Image.Image) -> RGBImage:
    """Converts a PIL image of any mode to (height, width, 3) 8-bit RGB.

    Grey images of more than 8 bits are scaled to 0..255; transparent pixels are blended with white. Blocks of rows are
    converted one after the other, because Pillow's copies take four bytes per pixel each.
    """
    image.load()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scale_grey(np.asarray(image), is_float=image.mode == "F")
    is_transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _ROWS_PER_BLOCK):
        block = image.crop((0, top, image.width, min(top + _ROWS_PER_BLOCK, image.height)))
        if is_transparent:
            rgba = block.convert("RGBA")
            block = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        pixels[top : top + block.height] = np.asarray(block.convert("RGB"))
    return pixels


def _scale_grey(grey: NDArray[Any], is_float: bool) -> RGBImage:
    """Scales an (H, W) integer or float grey image to 8-bit RGB.

    It is converted in blocks of rows, because a large image takes a gigabyte in double precision.
    """
    highest = float(np.max(grey, initial=0))
    white = 65535.0 if not is_float or highest > 255 else (255.0 if highest > 1 else 1.0)
    image = np.empty((*grey.shape, 3), np.uint8)
    for start in range(0, len(grey), _ROWS_PER_BLOCK):
        rows = grey[start : start + _ROWS_PER_BLOCK].astype(np.float64) * (255.0 / white)
        image[start : start + _ROWS_PER_BLOCK] = np.nan_to_num(rows).clip(0, 255).round()[..., None]
    return image


def to_rgb_image(image: object, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Converts a path, a PIL image, a numpy array or a torch tensor to an 8-bit RGB array.

    Args:
        image: A path; a PIL image; a numpy array (H, W, 3), (H, W, 4) or (H, W), uint8, or floats in 0..1, channels RGB
            or RGBA, which is blended with white;
            or a torch tensor (3, H, W) of the same ranges.
        max_pixels: The largest number of pixels that a file may have.

    Returns:
        The (height, width, 3) RGB image.

    Raises:
        ImageError: A file cannot be read, or the shape, type or range is another.
    """
    if isinstance(image, (str, PathLike)):
        return read_image(image, max_pixels)
    if isinstance(image, Image.Image):
        try:
            return pil_to_rgb(ImageOps.exif_transpose(image))
        except Exception as error:  # PIL decodes lazily, so a broken file fails only here
            raise ImageError(f"a PIL image cannot be decoded ({error}); is its file truncated?") from error
    if type(image).__module__.partition(".")[0] == "torch":
        array = image.detach().cpu().numpy()  # type: ignore[attr-defined]
        if array.ndim != 3 or array.shape[0] != 3:
            raise ImageError(f"a tensor image must have shape (3, H, W), not {tuple(array.shape)}")
        array = array.transpose(1, 2, 0)
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise ImageError(f"an image must be a path, PIL image, numpy array or tensor, not {type(image).__name__}")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != 3 or array.shape[-1] not in (3, 4) or 0 in array.shape:
        raise ImageError(f"an array image must have shape (H, W, 3) in RGB or (H, W, 4) in RGBA, not {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageError("a float image must hold finite values in 0..1; for 0..255 pass uint8")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(f"an array image must be uint8 or float, not {array.dtype}")
    contiguous = np.ascontiguousarray(array)
    return pil_to_rgb(Image.fromarray(contiguous)) if array.shape[-1] == 4 else contiguous


def warp(image: RGBImage, matrix: Floats, size_wh: tuple[int, int], fill: int = 0) -> RGBImage:
    """Resamples a crop of an image by an affine map, bilinearly.

    Where the crop's scale is less than half the image's, the image is box-averaged first to avoid aliasing.

    Args:
        image: (H, W, 3) RGB; or (H, W, 4) with opacity, which weighs the colours; or (H, W) with one channel.
        matrix: (2, 3) the map from image pixel indices to crop pixel indices.
        size_wh: Width and height of the crop.
        fill: The value, in all channels, of pixels outside the image.

    Returns:
        The (height, width, ...) crop, with the channels of the image.
    """
    window, inverse = extract_window(image, matrix, size_wh)
    if not window.size:
        return np.full((size_wh[1], size_wh[0], *image.shape[2:]), fill, np.uint8)
    pil_window, coefficients = Image.fromarray(np.ascontiguousarray(window)), inverse.ravel().tolist()
    colour = fill if image.ndim == 2 else (fill,) * image.shape[2]
    method, resampling = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return np.asarray(pil_window.transform(size_wh, method, coefficients, resampling, fillcolor=colour))


def extract_window(image: RGBImage, matrix: Floats, size_wh: tuple[int, int]) -> tuple[RGBImage, Floats]:
    """Extracts the part of an image that a crop shows, box-averaged where the crop is less than half its scale.

    Args:
        image: The image, as for `warp`.
        matrix: (2, 3) the map from image pixel indices to crop pixel indices.
        size_wh: Width and height of the crop.

    Returns:
        The part with a margin, empty where the crop lies outside the image; and the (2, 3) map from the crop to it. In
        the coordinates of this map a pixel's centre lies half a pixel further than its index, as in Pillow.
    """
    inverse = invert_affine(matrix)
    inverse[:, 2] += 0.5 - inverse[:, :2] @ [0.5, 0.5]
    factor = int(np.sqrt(abs(np.linalg.det(inverse[:, :2]))))
    corners = np.array([[0, 0], [size_wh[0], 0], [0, size_wh[1]], size_wh], np.float64)
    corners_xy = corners @ inverse[:, :2].T + inverse[:, 2]
    margin, image_wh = max(factor, 2), image.shape[1::-1]
    left, top = np.clip(np.floor(corners_xy.min(0)) - margin, 0, image_wh).astype(int)
    right, bottom = np.clip(np.ceil(corners_xy.max(0)) + margin, 0, image_wh).astype(int)
    window = image[top:bottom, left:right]
    inverse[:, 2] -= left, top
    if factor < 2 or not window.size:
        return window, inverse
    return np.asarray(Image.fromarray(np.ascontiguousarray(window)).reduce(factor)), inverse / factor


def normalise_images(images: NDArray[np.uint8], mean: ArrayLike, std: ArrayLike) -> NDArray[np.float32]:
    """Normalises the channels of images, as published networks expect them.

    Args:
        images: (B, H, W, C), 0..255.
        mean: (C,) in 0..255.
        std: (C,) in 0..255.

    Returns:
        (B, C, H, W).
    """
    # Channels come first, because NumPy broadcasts over a last axis of 3 slowly.
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    planes -= np.asarray(mean, np.float32)[:, None, None]
    planes /= np.asarray(std, np.float32)[:, None, None]
    return planes
