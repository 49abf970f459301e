"""Sources become image files, and images are loaded in order, a few ahead."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from rsgnet.errors import ImageError, RSGNetError
from rsgnet.inference import sources as module
from rsgnet.inference.detectors.detector import Boxes, LoadedImage
from rsgnet.inference.sources import ImageFile, UploadedImage, chunk_images, find_images, load_image, read_ahead

LIMIT = 10_000  # pixels


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("a.jpg", "b.PNG", "sub/a.jpg", "sub/deep/c.webp", "out/a.jpg", ".hidden.jpg", "other/a.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("x")
    (tmp_path / "photos" / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources, **options):
    return [file.file_name for file in find_images(sources, **options)]


def test_folders_are_searched_recursively(tree):
    assert names("photos") == ["a.jpg", "b.PNG", "other/a.jpg", "out/a.jpg", "sub/a.jpg", "sub/deep/c.webp"]


def test_skipped_folder_is_left_out(tree):
    assert "out/a.jpg" not in names("photos", skip=tree / "photos" / "out")
    assert "out/a.jpg" in names("photos", skip=tree / "elsewhere")
    assert names("photos/out", skip=tree / "photos" / "out") == ["a.jpg"]  # it is named itself


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.jpg", ["a.jpg"]),
        ("photos/**/*.jpg", ["a.jpg", "other/a.jpg", "out/a.jpg", "sub/a.jpg"]),
        ("photos/*/a.jpg", ["other/a.jpg", "out/a.jpg", "sub/a.jpg"]),
        ("photos/[ab].*", ["a.jpg", "b.PNG"]),
    ],
)
def test_patterns(tree, pattern, expected):
    assert names(pattern) == expected
    assert names(str(tree / pattern)) == expected


def test_files_of_any_suffix_are_taken(tree):
    assert names("photos/notes.txt", "photos/a.jpg", "nowhere/x.jpg") == ["notes.txt", "a.jpg", "x.jpg"]


def test_a_file_with_brackets_in_its_name_is_no_pattern(tree):
    (tree / "img[1].png").write_bytes(b"")
    assert names("img[1].png") == ["img[1].png"]


def test_each_image_is_found_once(tree):
    assert names("photos/a.jpg", "photos", "photos/../photos/a.jpg").count("a.jpg") == 1


def test_equal_names_become_paths(tree):
    assert names("photos/a.jpg", "photos/sub/a.jpg", "photos/b.PNG") == ["photos/a.jpg", "photos/sub/a.jpg", "b.PNG"]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "no image was named"),
        (["empty"], "empty: no images in this folder"),
        (["photos", "empty"], "no images in this folder"),
        (["empty/*.jpg"], "no image matches"),
        (["photos/*.txt"], "no image matches"),
    ],
)
def test_sources_without_images_raise(tree, sources, message):
    (tree / "empty").mkdir()
    with pytest.raises(RSGNetError, match=message):
        find_images(sources)


def test_clips_are_found_only_if_asked_for(tree):
    for name in ("photos/c.MP4", "photos/sub/d.mkv"):
        (tree / name).write_bytes(b"")
    assert "c.MP4" not in names("photos")
    assert [name for name in names("photos", clips=True) if name[-1] in "4v"] == ["c.MP4", "sub/d.mkv"]
    assert names("photos/*.[mM]*", clips=True) == ["c.MP4"]
    with pytest.raises(RSGNetError, match="no image matches"):
        find_images(["photos/*.MP4"])


def test_cameras_are_clips_with_valid_file_names(tree):
    camera, image, clip = find_images(["camera:0", "photos/a.jpg", "nowhere.mov"], clips=True)
    assert (camera.file_name, str(camera.path)) == ("camera-0", "camera:0")
    assert [file.is_clip for file in (camera, image, clip)] == [True, False, True]


def array(value=0, size=(4, 3)):
    return np.full((size[1], size[0], 3), value, np.uint8)


def test_names_of_loaded_images(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(array(5)).save(path)
    for source, name, origin in (
        (path, path.as_posix(), path),
        (str(path), path.as_posix(), path),
        (ImageFile(path, "sub/a.png"), "sub/a.png", path),
        (Image.open(path), path.as_posix(), None),
        (array(5), "", None),
    ):
        loaded = load_image(source, LIMIT)
        assert (loaded.file_name, loaded.path) == (name, origin) and (loaded.pixels == 5).all()


def test_an_upload_keeps_its_name_and_boxes():
    file = io.BytesIO()
    Image.fromarray(array(5)).save(file, "png")
    loaded = load_image(UploadedImage(file.getvalue(), "a.png", Boxes.empty()), LIMIT)
    assert (loaded.file_name, loaded.path, len(loaded.boxes)) == ("a.png", None, 0)
    assert (loaded.pixels == 5).all()
    assert "a.png" in str(load_image(UploadedImage(b"", "a.png"), LIMIT))


def test_an_error_does_not_hold_the_content_of_its_file():
    error = load_image(UploadedImage(b"no image", "a.png"), LIMIT)
    assert isinstance(error, ImageError) and error.__traceback__ is error.__cause__ is error.__context__ is None


def test_errors_are_returned():
    assert isinstance(load_image("nowhere.jpg", LIMIT), RSGNetError)


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_order_is_kept_and_errors_are_in_their_place(count):
    sources = ["nowhere.jpg" if index % 7 == 3 else array(index) for index in range(count)]
    with ThreadPoolExecutor(4) as pool:
        loaded = list(read_ahead(sources, pool, LIMIT))
    assert [source for source, _ in loaded] == sources if count < 2 else len(loaded) == count
    for index, (_, image) in enumerate(loaded):
        if index % 7 == 3:
            assert isinstance(image, RSGNetError)
        else:
            assert (image.pixels == index).all()


def test_only_a_few_images_are_read_ahead():
    read = []

    def endless():
        index = 0
        while True:
            read.append(index)
            yield array(index % 256)
            index += 1

    with ThreadPoolExecutor(4) as pool:
        reader = read_ahead(endless(), pool, LIMIT)
        for _ in range(10):
            next(reader)
        assert len(read) <= 10 + module.IMAGES_AHEAD
        reader.close()
    assert threading.active_count() < 20


def chunk_sizes(*sizes):
    return [len(chunk) for chunk in chunk_images([(i, LoadedImage(array(size=size))) for i, size in enumerate(sizes)])]


def test_chunks_are_bounded_by_images_and_pixels(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_PIXELS", 1000)
    monkeypatch.setattr(module, "CHUNK_IMAGES", 3)
    assert chunk_sizes(*[(2, 2)] * 7) == [3, 3, 1]
    assert chunk_sizes((40, 40), (2, 2), (2, 2)) == [1, 2]
    assert chunk_sizes() == []
