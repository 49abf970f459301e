import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.hostile.images import scans_jpeg, zeros_png

from rsgnet.errors import ImageError
from rsgnet.geometry import crop_affine
from rsgnet.images import (
    MAX_JPEG_SCANS,
    MAX_SIDE_PX,
    decode_image,
    pil_to_rgb,
    read_grey_thumbnail,
    read_image,
    read_image_size,
    to_rgb_image,
    warp,
)

QUADRANTS = np.zeros((40, 60, 3), np.uint8)
QUADRANTS[:20, :30], QUADRANTS[:20, 30:] = (200, 30, 40), (30, 190, 50)
QUADRANTS[20:, :30], QUADRANTS[20:, 30:] = (20, 40, 210), (220, 220, 60)


def save(path, image, **options):
    image.save(path, **options)
    return path


class TestUnreadableFiles:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("missing.jpg", None, "no such file"),
            ("a" * 300 + ".jpg", None, "cannot be read: File name too long"),
            ("empty.jpg", b"", "empty"),
            ("text.jpg", b"this is no image\n" * 50, "not an image"),
            ("noise.png", bytes(range(256)) * 8, "not an image"),
        ],
    )
    def test_the_message_names_the_file(self, tmp_path, name, content, message):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif", ".webp"])
    def test_truncated(self, tmp_path, suffix):
        noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
        whole = save(tmp_path / f"whole{suffix}", Image.fromarray(noise)).read_bytes()
        (tmp_path / f"half{suffix}").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ImageError, match="half"):
            read_image(tmp_path / f"half{suffix}")

    def test_a_folder(self, tmp_path):
        with pytest.raises(ImageError):
            read_image(tmp_path)

    def test_an_image_over_the_limit_is_refused_before_it_is_decoded(self, tmp_path):
        # a PNG header that declares more pixels than the file holds
        def chunk(kind, content):
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        def write_header(width, height):
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            (tmp_path / "bomb.png").write_bytes(
                b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99))
            )
            return tmp_path / "bomb.png"

        with pytest.raises(ImageError, match="12000x10000 is over the limit of 100000000 pixels"):
            read_image(write_header(12_000, 10_000))
        with pytest.raises(ImageError, match=r"bomb.png: too large to decode safely \(.*3600000000 pixels"):
            read_image(write_header(60_000, 60_000))

    def test_the_limit_is_settable(self, tmp_path):
        path = save(tmp_path / "a.png", Image.fromarray(QUADRANTS))
        assert read_image(path, max_pixels=2400).shape == (40, 60, 3)
        with pytest.raises(ImageError, match="limit of 2399"):
            read_image(path, max_pixels=2399)


class TestSlowAndLargeFiles:
    def test_a_jpeg_of_many_scans(self):
        decode_image(scans_jpeg((64, 48), MAX_JPEG_SCANS), "a.jpg")
        with pytest.raises(ImageError, match=r"many\.jpg: a JPEG of more than 100 scans"):
            decode_image(scans_jpeg((64, 48), MAX_JPEG_SCANS + 1), "many.jpg")

    def test_scans_of_thumbnails_and_after_the_image_do_not_count(self, tmp_path):
        whole = scans_jpeg((64, 48), 10)
        thumbnail = b"\xff\xe5" + struct.pack(">H", 2 + 2 * 200) + b"\xff\xda" * 200
        (tmp_path / "a.jpg").write_bytes(whole[:2] + thumbnail + whole[2:] + b"\xff\xda" * 200)
        assert (read_image(tmp_path / "a.jpg") == decode_image(whole, "a.jpg")).all()

    @pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
    def test_pixels_in_decimal_digits(self, kind):
        with pytest.raises(ImageError, match=r"a\.ppm: PNM images in decimal digits are not read"):
            decode_image(f"{kind} 1 1 1 1 1 1".encode(), "a.ppm")

    def test_a_side_over_the_limit(self):
        assert decode_image(zeros_png((1, MAX_SIDE_PX), 8, 0), "a.png").shape == (MAX_SIDE_PX, 1, 3)
        with pytest.raises(ImageError, match="1x65600 is over the limit of 65535 pixels a side"):
            decode_image(zeros_png((1, 65_600), 8, 0), "a.png")

    def test_too_little_memory_is_said(self, monkeypatch):
        def fail(*_):
            raise MemoryError

        monkeypatch.setattr(Image.Image, "crop", fail)
        with pytest.raises(ImageError, match=r"a\.png: not enough memory to decode it; scale it down"):
            decode_image(zeros_png((100, 100), 8, 0), "a.png")


class TestModes:
    @pytest.mark.parametrize("size_wh", [(1, 1), (1, 5000), (5000, 1)])
    def test_extreme_shapes(self, tmp_path, size_wh):
        image = read_image(save(tmp_path / "a.png", Image.new("RGB", size_wh, (1, 2, 3))))
        assert image.shape == (size_wh[1], size_wh[0], 3) and (image == (1, 2, 3)).all()

    @pytest.mark.parametrize(
        ("mode", "colour", "suffix", "rgb"),
        [
            ("L", 77, ".png", (77, 77, 77)),
            ("1", 1, ".png", (255, 255, 255)),
            ("RGB", (10, 20, 30), ".bmp", (10, 20, 30)),
            ("RGBA", (10, 20, 30, 255), ".png", (10, 20, 30)),
            ("RGBA", (10, 20, 30, 0), ".png", (255, 255, 255)),
            ("RGBA", (0, 100, 200, 51), ".png", (204, 224, 244)),  # a fifth of it, four fifths white
            ("LA", (50, 0), ".png", (255, 255, 255)),
            ("I;16", 257 * 100, ".png", (100, 100, 100)),
            ("I;16", 257 * 100, ".tif", (100, 100, 100)),
            ("F", 0.5, ".tif", (128, 128, 128)),
            ("CMYK", (0, 255, 255, 0), ".tif", (255, 0, 0)),
            ("CMYK", (0, 0, 0, 255), ".tif", (0, 0, 0)),
        ],
    )
    def test_become_rgb(self, tmp_path, mode, colour, suffix, rgb):
        image = read_image(save(tmp_path / f"a{suffix}", Image.new(mode, (5, 4), colour)))
        assert image.shape == (4, 5, 3) and image.dtype == np.uint8
        assert np.abs(image.astype(int) - rgb).max() <= 1

    def test_cmyk_jpeg(self, tmp_path):
        path = save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
        assert np.abs(read_image(path).astype(int) - (255, 0, 0)).max() <= 4

    def test_palette_with_a_transparent_colour(self, tmp_path):
        palette = Image.new("P", (4, 4), 0)
        palette.putpalette([9, 8, 7, 40, 50, 60] + [0] * 762)
        palette.putpixel((1, 2), 1)
        image = read_image(save(tmp_path / "a.png", palette, transparency=0))
        assert tuple(image[2, 1]) == (40, 50, 60) and tuple(image[0, 0]) == (255, 255, 255)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_applied(self, tmp_path, orientation):
        undo = {
            1: lambda a: a,
            2: lambda a: a[:, ::-1],
            3: lambda a: a[::-1, ::-1],
            4: lambda a: a[::-1],
            5: lambda a: a.transpose(1, 0, 2),
            6: lambda a: np.rot90(a, 1),
            7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
            8: lambda a: np.rot90(a, -1),
        }[orientation]  # how a camera stores the image so that it is displayed upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(np.ascontiguousarray(undo(QUADRANTS)))
        assert np.array_equal(read_image(save(tmp_path / "a.png", stored, exif=exif)), QUADRANTS)


class TestDecodeImage:
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif", ".webp", ".bmp", ".ppm"])
    def test_equals_read_image(self, tmp_path, suffix):
        path = save(tmp_path / f"a{suffix}", Image.fromarray(QUADRANTS))
        assert np.array_equal(decode_image(path.read_bytes(), "a"), read_image(path))

    def test_exif_orientation_is_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = save(tmp_path / "a.jpg", Image.fromarray(QUADRANTS), exif=exif)
        assert decode_image(path.read_bytes(), "a").shape == (60, 40, 3)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "mine.jpg: the file is empty"),
            (b"no image\n" * 50, "mine.jpg: not an image"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "mine.jpg: not an image"),
        ],
    )
    def test_the_message_names_content_that_is_not_an_image(self, content, message):
        with pytest.raises(ImageError, match=message):
            decode_image(content, "mine.jpg")

    def test_over_the_limit(self, tmp_path):
        path = save(tmp_path / "a.png", Image.fromarray(QUADRANTS))
        with pytest.raises(ImageError, match="big: 60x40 is over the limit of 2399 pixels"):
            decode_image(path.read_bytes(), "big", max_pixels=2399)


class TestAsImage:
    @pytest.mark.parametrize(
        "given",
        [
            QUADRANTS,
            QUADRANTS.astype(np.float32) / 255,
            Image.fromarray(QUADRANTS),
            Image.fromarray(QUADRANTS).convert("RGBA"),
            QUADRANTS[:, ::-1][:, ::-1],
        ],
        ids=["uint8", "float", "PIL", "PIL with alpha", "not contiguous"],
    )
    def test_accepted_images(self, given):
        image = to_rgb_image(given)
        assert np.array_equal(image, QUADRANTS) and image.flags.c_contiguous

    def test_grey_arrays_and_paths(self, tmp_path):
        assert np.array_equal(to_rgb_image(QUADRANTS[..., 0])[..., 2], QUADRANTS[..., 0])
        path = save(tmp_path / "a.png", Image.fromarray(QUADRANTS))
        assert np.array_equal(to_rgb_image(path), QUADRANTS) and np.array_equal(to_rgb_image(str(path)), QUADRANTS)

    def test_transparent_arrays_are_blended_with_white(self):
        red = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
        expected = [[[255, 0, 0], [255, 255, 255], [127, 127, 127]]]
        assert to_rgb_image(red).tolist() == expected
        assert to_rgb_image(red / 255.0).tolist() == expected

    def test_tensors(self):
        torch = pytest.importorskip("torch")
        tensor = torch.from_numpy(QUADRANTS).permute(2, 0, 1)
        assert np.array_equal(to_rgb_image(tensor), QUADRANTS)
        assert np.array_equal(to_rgb_image(tensor.float() / 255), QUADRANTS)
        with pytest.raises(ImageError, match=r"\(3, H, W\)"):
            to_rgb_image(torch.from_numpy(QUADRANTS))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (np.zeros((3, 4, 5, 3), np.uint8), "shape"),
            (np.zeros((4, 5, 2), np.uint8), "shape"),
            (np.zeros((0, 5, 3), np.uint8), "shape"),
            (np.zeros((4, 5, 3), np.int64), "int64"),
            (np.full((4, 5, 3), 200.0), "0..1"),
            (np.full((4, 5, 3), np.nan), "finite"),
            (42, "int"),
            (None, "NoneType"),
        ],
    )
    def test_refused_images(self, given, message):
        with pytest.raises(ImageError, match=message):
            to_rgb_image(given)

    def test_a_pil_image_whose_file_is_truncated(self):
        stored = io.BytesIO()
        Image.fromarray(QUADRANTS).save(stored, "PNG")
        with pytest.raises(ImageError, match="truncated"):
            to_rgb_image(Image.open(io.BytesIO(stored.getvalue()[:-60])))


class TestWarp:
    def test_equals_exact_bilinear_crops(self, shared):
        golden = np.load(shared("golden/ops/crop.npz"))
        compared = 0
        for matrix, exact in zip(golden["trans"], golden["crop_float_exact"], strict=True):
            if abs(np.linalg.det(matrix[:, :2])) <= 0.25:
                continue  # less than half the scale: box-averaged, unlike plain bilinear resampling
            crop = warp(golden["image"], matrix, tuple(golden["output_wh"].tolist()))
            # Pillow ends the image at its last pixel; exact bilinear resampling fades it out over one pixel more
            difference = np.abs(crop - exact)
            assert np.median(difference) <= 0.51 and np.quantile(difference, 0.97) <= 1.5
            compared += 1
        assert compared

    def test_the_identity_map_keeps_every_pixel(self):
        assert np.array_equal(warp(QUADRANTS, np.eye(2, 3), (60, 40)), QUADRANTS)

    def test_a_shift_by_whole_pixels_is_exact_and_black_outside(self):
        crop = warp(QUADRANTS, np.array([[1.0, 0, 5], [0, 1, -7]]), (60, 40))
        assert np.array_equal(crop[:33, 5:], QUADRANTS[7:, :55])
        assert crop[33:].max() == 0 and crop[:, :5].max() == 0

    def test_a_much_smaller_crop_is_averaged(self):
        checkerboard = np.repeat(np.indices((64, 64)).sum(0)[..., None] % 2 * 255, 3, -1).astype(np.uint8)
        crop = warp(checkerboard, crop_affine((32, 32), (64, 64), (8, 8), pixel_centre=0.5), (8, 8))
        assert np.abs(crop.astype(int) - 127.5).max() <= 3

    @pytest.mark.parametrize("centre", [(-500.0, 20.0), (1e6, 1e6)])
    def test_a_crop_beside_the_image_is_black(self, centre):
        assert warp(QUADRANTS, crop_affine(centre, (400, 400), (48, 64)), (48, 64)).max() == 0

    def test_an_image_of_one_pixel(self):
        pixel = np.full((1, 1, 3), 90, np.uint8)
        crop = warp(pixel, crop_affine((0.5, 0.5), (1, 1), (8, 8), pixel_centre=0.5), (8, 8))
        assert (crop == 90).all()


def test_rgb_array_of_an_integer_image():
    assert np.array_equal(pil_to_rgb(Image.new("I", (2, 2), 65535)), np.full((2, 2, 3), 255))


class TestSizesAndThumbnails:
    @pytest.mark.parametrize(
        ("orientation", "size_wh"), [(None, (60, 40)), (3, (60, 40)), (6, (40, 60)), (8, (40, 60))]
    )
    def test_exif_orientation_is_applied(self, tmp_path, orientation, size_wh):
        exif = Image.Exif()
        if orientation:
            exif[0x0112] = orientation
        path = save(tmp_path / "a.jpg", Image.fromarray(QUADRANTS), exif=exif, quality=95)
        assert read_image_size(path) == size_wh
        thumbnail, image_wh = read_grey_thumbnail(path, (4, 4))
        grey = np.asarray(Image.fromarray(read_image(path)).convert("L").resize((4, 4), Image.Resampling.BOX))
        assert image_wh == size_wh and np.abs(thumbnail.astype(int) - grey).max() < 12

    def test_a_truncated_file_has_a_size_but_no_thumbnail(self, tmp_path):
        path = save(
            tmp_path / "a.jpg", Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8))
        )
        path.write_bytes(path.read_bytes()[:1500])
        assert read_image_size(path) == (90, 90)
        with pytest.raises(ImageError, match="truncated"):
            read_grey_thumbnail(path, (4, 4))
        with pytest.raises(ImageError, match="no such file"):
            read_image_size(tmp_path / "none.jpg")
