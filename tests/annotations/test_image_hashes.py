import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from rsgnet.annotations.image_hashes import image_print, same_bytes, same_view
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import ImageError


@pytest.fixture(scope="module")
def scenes():
    return [Image.fromarray(simulate_crowd(seed, (320, 240), people=4).image) for seed in range(6)]


def prints(folder, images, **options):
    folder.mkdir(exist_ok=True)
    found = []
    for index, image in enumerate(images):
        path = folder / f"{index}.{options.get('suffix', 'png')}"
        image.save(path, **{key: value for key, value in options.items() if key != "suffix"})
        found.append(image_print(path))
    return found


CHANGES = {
    "smaller": (lambda image: image.resize((160, 120)), {}),
    "larger": (lambda image: image.resize((500, 375)), {}),
    "compressed": (lambda image: image, {"suffix": "jpg", "quality": 30}),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), {}),
    "grey": (lambda image: image.convert("L"), {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_image_is_known_again(scenes, tmp_path, change):
    alter, options = CHANGES[change]
    originals = prints(tmp_path / "a", scenes)
    altered = prints(tmp_path / "b", [alter(scene) for scene in scenes[::-1]], **options)
    assert sorted(same_view(originals, altered)) == [(index, 5 - index) for index in range(6)]
    assert list(same_bytes(originals, altered)) == []
    assert list(same_bytes(originals, originals[::-1])) == [(index, 5 - index) for index in range(6)]


def test_what_it_does_not_claim(scenes, tmp_path):
    originals = prints(tmp_path / "a", scenes)
    assert list(same_view(originals, prints(tmp_path / "b", [ImageOps.mirror(scene) for scene in scenes]))) == []
    plain = prints(tmp_path / "c", [Image.new("RGB", (90, 90), grey) for grey in ("black", "white")])
    assert list(same_view(plain, plain)) == [] and len(list(same_bytes(plain, plain))) == 2
    assert list(same_view(originals, [])) == list(same_view([], originals)) == []


def test_size_and_deep_greys(tmp_path):
    Image.fromarray(np.tile(np.arange(0, 65536, 256, dtype=np.uint16), (40, 1))).save(tmp_path / "deep.png")
    found = image_print(tmp_path / "deep.png")
    assert found.size_wh == (256, 40) and found.bits == 2**64 - 1 and found.thumbnail.shape == (16, 18)


def test_a_cut_image_is_an_error(scenes, tmp_path):
    scenes[0].save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    with pytest.raises(ImageError, match="truncated"):
        image_print(tmp_path / "a.jpg")
