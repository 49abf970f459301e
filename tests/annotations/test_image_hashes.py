import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from rsgnet.annotations.image_hashes import hash_image, match_equal_files, match_similar_images
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import ImageError


@pytest.fixture(scope="module")
def scenes():
    return [Image.fromarray(simulate_crowd(seed, (320, 240), people=4).image) for seed in range(6)]


def hash_all(folder, images, **options):
    folder.mkdir(exist_ok=True)
    hashes = []
    for index, image in enumerate(images):
        path = folder / f"{index}.{options.get('suffix', 'png')}"
        image.save(path, **{key: value for key, value in options.items() if key != "suffix"})
        hashes.append(hash_image(path))
    return hashes


def similar(first, second):
    return match_similar_images([each.bits for each in first], [each.bits for each in second])


CHANGES = {
    "stretched": (lambda image: image.resize((416, 416)), {}),
    "smaller": (lambda image: image.resize((160, 120)), {}),
    "larger": (lambda image: image.resize((500, 375)), {}),
    "compressed": (lambda image: image, {"suffix": "jpg", "quality": 30}),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), {}),
    "grey": (lambda image: image.convert("L"), {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_is_matched(scenes, tmp_path, change):
    change_image, options = CHANGES[change]
    originals = hash_all(tmp_path / "a", scenes)
    changed = hash_all(tmp_path / "b", [change_image(scene) for scene in scenes[::-1]], **options)
    assert sorted(similar(originals, changed)) == [(index, 5 - index) for index in range(6)]
    assert list(match_equal_files(originals, changed)) == []
    assert list(match_equal_files(originals, originals[::-1])) == [(index, 5 - index) for index in range(6)]


def test_mirrored_and_plain_images_are_not_matched(scenes, tmp_path):
    originals = hash_all(tmp_path / "a", scenes)
    assert list(similar(originals, hash_all(tmp_path / "b", [ImageOps.mirror(scene) for scene in scenes]))) == []
    plain = hash_all(tmp_path / "c", [Image.new("RGB", (90, 90), grey) for grey in ("black", "white")])
    assert list(similar(plain, plain)) == [] and len(list(match_equal_files(plain, plain))) == 2
    assert list(similar(originals, [])) == list(similar([], originals)) == []


def test_an_image_of_16_bit_grey(tmp_path):
    Image.fromarray(np.tile(np.arange(0, 65536, 256, dtype=np.uint16), (40, 1))).save(tmp_path / "deep.png")
    found = hash_image(tmp_path / "deep.png")
    assert found.size_wh == (256, 40) and np.unpackbits(found.bits).tolist() == [1] * 156 + [0] * 156


def test_a_truncated_image_is_an_error(scenes, tmp_path):
    scenes[0].save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    with pytest.raises(ImageError, match="truncated"):
        hash_image(tmp_path / "a.jpg")
