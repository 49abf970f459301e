import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from rsgnet.errors import RSGNetError
from rsgnet.inference import reading
from rsgnet.inference.boxes import Boxes, Photo
from rsgnet.inference.reading import in_chunks, read_ahead, read_photo
from rsgnet.inference.sources import ImageFile, SentImage

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
    return [len(chunk) for chunk in in_chunks([(i, Photo(image(size=size))) for i, size in enumerate(sizes)])]


def test_chunks_are_bounded_by_count_and_by_pixels(monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_PIXELS", 1000)
    monkeypatch.setattr(reading, "CHUNK_IMAGES", 3)
    assert chunk_sizes(*[(2, 2)] * 7) == [3, 3, 1]
    assert chunk_sizes((40, 40), (2, 2), (2, 2)) == [1, 2]
    assert chunk_sizes() == []
