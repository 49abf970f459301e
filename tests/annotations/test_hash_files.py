import numpy as np
import pytest

from rsgnet.annotations.hash_files import HashedSet, read_hash_file, read_hashed_sets, write_hash_file
from rsgnet.annotations.image_hashes import HASH_BYTES, match_similar_images
from rsgnet.errors import AnnotationError, RSGNetError

HEADER = "# rsgnet image hashes 1\n"


def random_hashes(count, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, HASH_BYTES), np.uint8))


def test_round_trip(tmp_path):
    one, two, three = random_hashes(3)
    sets = [HashedSet("coco:val2017", 5000, {"b c.jpg": one, "a/é.jpg": two}), HashedSet("mine", 1, {"=.png": three})]
    write_hash_file(tmp_path / "a.hashes", sets)
    first, second = read_hash_file(tmp_path / "a.hashes")
    assert (first.name, first.size, second.name, second.size) == ("coco:val2017", 5000, "mine", 1)
    assert list(first.bits) == ["a/é.jpg", "b c.jpg"]
    assert (first.bits["b c.jpg"] == one).all() and (second.bits["=.png"] == three).all()
    with pytest.raises(RSGNetError, match="no name may contain a line break"):
        write_hash_file(tmp_path / "a.hashes", [HashedSet("x", 1, {"a\nb": one})])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of image hashes"),
        (b"\xff\xfe", "not a file of image hashes"),
        (b"{}", "`rsgnet data hash` makes one"),
        (f"{HEADER}a.jpg {'A' * 52}".encode(), "line 2 is neither"),  # before any set
        (f"{HEADER}= x 5\na.jpg {'A' * 48}".encode(), "line 3 is neither"),
        (f"{HEADER}= x 5\na.jpg {'!' * 52}".encode(), "line 3 is neither"),
        (f"{HEADER}= x many".encode(), "line 2 is neither"),
    ],
)
def test_broken_files_raise(tmp_path, content, message):
    (tmp_path / "a.hashes").write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        read_hash_file(tmp_path / "a.hashes")


def test_a_missing_file_raises_and_labels_are_none(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.hashes: cannot be read"):
        read_hashed_sets(str(tmp_path / "none.hashes"))
    assert read_hashed_sets("people.json:images") is None


def test_the_shipped_sets_have_no_image_twice():
    """COCO's images are in one split each; an image of two splits would be near in both."""
    (train,), (val,) = read_hashed_sets("coco:train2017"), read_hashed_sets("coco:val2017")
    assert (len(train.bits), train.size, len(val.bits), val.size) == (2008, 118287, 2057, 5000)
    assert not train.bits.keys() & val.bits.keys()
    assert list(match_similar_images(list(train.bits.values()), list(val.bits.values()))) == []


def test_hashes_match_to_40_differing_bits():
    (bits,) = random_hashes(1)
    unpacked = np.unpackbits(bits)

    def flipped(count):
        return np.packbits(unpacked ^ (np.arange(len(unpacked)) < count))

    others = [flipped(count) for count in (0, 40, 41, 312)]
    assert list(match_similar_images([None, bits], [*others, None])) == [(1, 0), (1, 1)]


def test_hashes_with_few_set_bits_must_agree_better():
    """Of two even images with 50 set bits each, at most 20 may differ."""

    def with_set(indices):
        return np.packbits(np.isin(np.arange(312), indices))

    even = with_set(range(50))
    assert list(match_similar_images([even], [with_set(range(10, 60)), with_set(range(11, 61))])) == [(0, 0)]


def test_many_hashes_are_matched_in_blocks():
    many = random_hashes(1200, seed=1)
    assert list(match_similar_images(many, many[::-1])) == [(index, 1199 - index) for index in range(1200)]
