import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from rsgnet.errors import RSGNetError
from rsgnet.inference import sources as reading
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage
from rsgnet.inference.sources import ImageFile, SentImage, find_images, in_chunks, read_ahead, read_photo


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


def test_folders_are_searched_to_the_bottom(tree):
    assert names("photos") == ["a.jpg", "b.PNG", "other/a.jpg", "out/a.jpg", "sub/a.jpg", "sub/deep/c.webp"]


def test_earlier_results_are_left_out(tree):
    assert "out/a.jpg" not in names("photos", skip=tree / "photos" / "out")
    assert "out/a.jpg" in names("photos", skip=tree / "elsewhere")
    assert names("photos/out", skip=tree / "photos" / "out") == ["a.jpg"]  # named by itself it is wanted


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


def test_files_are_taken_whatever_they_are_called(tree):
    assert names("photos/notes.txt", "photos/a.jpg", "nowhere/x.jpg") == ["notes.txt", "a.jpg", "x.jpg"]


def test_a_file_with_brackets_in_its_name_is_a_file(tree):
    (tree / "img[1].png").write_bytes(b"")
    assert names("img[1].png") == ["img[1].png"]


def test_each_image_once(tree):
    assert names("photos/a.jpg", "photos", "photos/../photos/a.jpg").count("a.jpg") == 1


def test_images_that_would_be_called_alike_are_called_by_their_paths(tree):
    assert names("photos/a.jpg", "photos/sub/a.jpg", "photos/b.PNG") == ["photos/a.jpg", "photos/sub/a.jpg", "b.PNG"]


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ([], "no image was named"),
        (["empty"], "empty: no images in this folder"),
        (["photos", "empty"], "no images in this folder"),
        (["empty/*.jpg"], "no image matches"),
        (["photos/*.txt"], "no image matches"),
    ],
)
def test_what_holds_no_image_is_refused(tree, sources, says):
    (tree / "empty").mkdir()
    with pytest.raises(RSGNetError, match=says):
        find_images(sources)


def test_clips_are_found_where_they_are_taken(tree):
    for name in ("photos/c.MP4", "photos/sub/d.mkv"):
        (tree / name).write_bytes(b"")
    assert "c.MP4" not in names("photos")
    assert [name for name in names("photos", clips=True) if name[-1] in "4v"] == ["c.MP4", "sub/d.mkv"]
    assert names("photos/*.[mM]*", clips=True) == ["c.MP4"]
    with pytest.raises(RSGNetError, match="no image matches"):
        find_images(["photos/*.MP4"])


def test_cameras_are_clips_with_names_that_files_can_have(tree):
    camera, photo, clip = find_images(["camera:0", "photos/a.jpg", "nowhere.mov"], clips=True)
    assert (camera.file_name, str(camera.path)) == ("camera-0", "camera:0")
    assert [file.is_clip for file in (camera, photo, clip)] == [True, False, True]


LIMIT = 10_000


def image(value=0, size=(4, 3)):
    return np.full((size[1], size[0], 3), value, np.uint8)


def test_names_of_photos(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(image(5)).save(path)
    for source, name, origin in (
        (path, path.as_posix(), path),
        (str(path), path.as_posix(), path),
        (ImageFile(path, "sub/a.png"), "sub/a.png", path),
        (Image.open(path), path.as_posix(), None),
        (image(5), "", None),
    ):
        photo = read_photo(source, LIMIT)
        assert (photo.file_name, photo.path) == (name, origin) and (photo.pixels == 5).all()


def test_what_was_sent_keeps_its_name_and_boxes():
    file = io.BytesIO()
    Image.fromarray(image(5)).save(file, "png")
    photo = read_photo(SentImage(file.getvalue(), "a.png", Boxes.none()), LIMIT)
    assert (photo.file_name, photo.path, len(photo.boxes)) == ("a.png", None, 0) and (photo.pixels == 5).all()
    assert "a.png" in str(read_photo(SentImage(b"", "a.png"), LIMIT))


def test_errors_are_values():
    assert isinstance(read_photo("nowhere.jpg", LIMIT), RSGNetError)


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_order_is_kept_and_errors_stand_in_their_place(count):
    sources = ["nowhere.jpg" if index % 7 == 3 else image(index) for index in range(count)]
    with ThreadPoolExecutor(4) as pool:
        read = list(read_ahead(sources, pool, LIMIT))
    assert [source for source, _ in read] == sources if count < 2 else len(read) == count
    for index, (_, photo) in enumerate(read):
        if index % 7 == 3:
            assert isinstance(photo, RSGNetError)
        else:
            assert (photo.pixels == index).all()


def test_only_a_few_are_read_ahead():
    drawn = []

    def endless():
        index = 0
        while True:
            drawn.append(index)
            yield image(index % 256)
            index += 1

    with ThreadPoolExecutor(4) as pool:
        reader = read_ahead(endless(), pool, LIMIT)
        for _ in range(10):
            next(reader)
        assert len(drawn) <= 10 + reading.AHEAD
        reader.close()
    assert threading.active_count() < 20


def chunk_sizes(*sizes):
    return [len(chunk) for chunk in in_chunks([(i, LoadedImage(image(size=size))) for i, size in enumerate(sizes)])]


def test_chunks_are_bounded_by_count_and_by_pixels(monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_PIXELS", 1000)
    monkeypatch.setattr(reading, "CHUNK_IMAGES", 3)
    assert chunk_sizes(*[(2, 2)] * 7) == [3, 3, 1]
    assert chunk_sizes((40, 40), (2, 2), (2, 2)) == [1, 2]
    assert chunk_sizes() == []
