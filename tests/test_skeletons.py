import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.skeletons import (
    AIC14,
    COCO17,
    CROWDPOSE14,
    DEFAULT_SIGMA,
    HALPE26,
    MPII16,
    PEOPLE19,
    SKELETONS,
    WHOLEBODY133,
    Skeleton,
    get_skeleton,
    read_skeleton,
)

VALID = {
    "name": "stick",
    "keypoints": ("top", "left", "right"),
    "edges": ((0, 1), (0, 2)),
    "limbs": ((0, 1),),
    "flip_pairs": ((1, 2),),
    "sigmas": (0.1, 0.2, 0.2),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": ("top", "left", "left")}, "unique"),
        ({"keypoints": (), "sigmas": (), "edges": (), "limbs": (), "flip_pairs": ()}, "at least one"),
        ({"sigmas": (0.1, 0.2)}, "expected 3 positive sigmas"),
        ({"sigmas": (0.1, 0.2, 0.0)}, "expected 3 positive sigmas"),
        ({"edges": ((0, 3),)}, r"bad pair \(0, 3\) in edges"),
        ({"limbs": ((-1, 0),)}, r"bad pair \(-1, 0\) in limbs"),
        ({"edges": ((1, 1),)}, r"bad pair \(1, 1\) in edges"),
        ({"limbs": ((0, 1, 2),)}, r"bad pair \(0, 1, 2\) in limbs"),
        ({"flip_pairs": ((1, 2), (0, 2))}, "two flip pairs"),
    ],
)
def test_a_skeleton_that_contradicts_itself_is_refused(change, message):
    Skeleton(**VALID)
    with pytest.raises(RSGNetError, match=message):
        Skeleton(**{**VALID, **change})


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
class TestBuiltInSkeletons:
    def test_mirroring_twice_is_the_identity(self, skeleton):
        order = skeleton.flip_indices
        np.testing.assert_array_equal(order[order], np.arange(len(skeleton)))

    def test_mirroring_swaps_left_and_right_by_name(self, skeleton):
        sides = {"left": "right", "right": "left"}
        for name, index in zip(skeleton.keypoints, skeleton.flip_indices, strict=True):
            side, _, rest = name.partition("_")
            if side == "face":  # numbered; see test_faces_are_mirrored
                continue
            assert skeleton.keypoints[index] == (f"{sides[side]}_{rest}" if side in sides else name)

    def test_both_sides_have_the_same_sigmas(self, skeleton):
        if skeleton in (AIC14, WHOLEBODY133):
            pytest.skip("published with sigmas measured for each side")
        sigmas = np.array(skeleton.sigmas)
        np.testing.assert_array_equal(sigmas[skeleton.flip_indices], sigmas)

    @pytest.mark.parametrize("field", ["edges", "limbs"])
    def test_mirroring_keeps_edges_and_limbs(self, skeleton, field):
        pairs = {frozenset(pair) for pair in getattr(skeleton, field)}
        assert {frozenset(skeleton.flip_indices[list(pair)].tolist()) for pair in pairs} == pairs
        assert len(pairs) == len(getattr(skeleton, field))

    def test_the_limb_matrix_marks_both_ends_of_each_limb(self, skeleton):
        matrix = skeleton.limb_matrix
        assert matrix.shape == (len(skeleton), len(skeleton.limbs))
        for limb, ends in enumerate(skeleton.limbs):
            assert set(np.flatnonzero(matrix[:, limb]).tolist()) == set(ends)
        assert set(np.unique(matrix)) == {0.0, 1.0}

    def test_every_keypoint_is_drawn_and_on_a_limb(self, skeleton):
        all_keypoints = set(range(len(skeleton)))
        assert {end for edge in skeleton.edges for end in edge} == all_keypoints
        assert {end for limb in skeleton.limbs for end in limb} == all_keypoints

    def test_get_skeleton_finds_it_by_name(self, skeleton):
        assert get_skeleton(skeleton.name) is skeleton


def test_faces_are_mirrored():
    """The 68 points of a face lie on an upright drawing where its mirror image has them, too."""
    outline = [(x, abs(x) / 8) for x in range(-8, 9)]
    brows = [(x, 9 + abs(x) % 3) for x in (-6, -5, -4, -3, -2, 2, 3, 4, 5, 6)]
    nose = [(0, 8), (0, 7), (0, 6), (0, 5), (-2, 4), (-1, 3.8), (0, 3.7), (1, 3.8), (2, 4)]
    right_eye = [(-5, 8), (-4, 8.5), (-3.5, 8.5), (-3, 8), (-3.5, 7.5), (-4, 7.5)]
    left_eye = [(3, 8), (3.5, 8.5), (4, 8.5), (5, 8), (4, 7.5), (3.5, 7.5)]
    lips = [
        (-3, 2),
        (-2, 2.5),
        (-1, 2.6),
        (0, 2.5),
        (1, 2.6),
        (2, 2.5),
        (3, 2),
        (2, 1),
        (1, 0.8),
        (0, 0.7),
        (-1, 0.8),
        (-2, 1),
    ]
    inner = [(-2.5, 2), (-1, 2.2), (0, 2.1), (1, 2.2), (2.5, 2), (1, 1.5), (0, 1.4), (-1, 1.5)]
    points = np.array([*outline, *brows, *nose, *right_eye, *left_eye, *lips, *inner])
    first = WHOLEBODY133.keypoints.index("face_0")
    order = WHOLEBODY133.flip_indices[first : first + 68] - first
    np.testing.assert_allclose(points[order] * [-1, 1], points)


@pytest.mark.parametrize(
    ("skeleton", "places"),
    [
        (HALPE26, {"right_ankle": 16, "head": 17, "neck": 18, "hip": 19, "left_big_toe": 20, "right_heel": 25}),
        (MPII16, {"right_ankle": 0, "pelvis": 6, "thorax": 7, "neck": 8, "head": 9, "left_wrist": 15}),
        (AIC14, {"right_shoulder": 0, "left_wrist": 5, "right_hip": 6, "left_ankle": 11, "head": 12, "neck": 13}),
        (
            WHOLEBODY133,
            {"right_ankle": 16, "left_heel": 19, "right_heel": 22, "face_0": 23, "face_67": 90, "left_hand_root": 91,
             "left_thumb4": 95, "left_pinky_finger4": 111, "right_hand_root": 112, "right_pinky_finger4": 132},
        ),
    ],
)  # fmt: skip
def test_published_orders(skeleton, places):
    assert {name: skeleton.keypoints.index(name) for name in places} == places


def test_skeletons_map_to_each_other_by_name():
    assert CROWDPOSE14.indices_in(AIC14).tolist() == [3, 0, 4, 1, 5, 2, 9, 6, 10, 7, 11, 8, 12, 13]
    assert CROWDPOSE14.indices_in(MPII16).tolist() == [13, 12, 14, 11, 15, 10, 3, 2, 4, 1, 5, 0, 9, 8]
    assert (PEOPLE19.indices_in(HALPE26) == np.arange(19)).all()
    assert (COCO17.indices_in(WHOLEBODY133) == np.arange(17)).all()
    assert HALPE26.indices_in(WHOLEBODY133).tolist() == [*range(17), -1, -1, -1, 17, 20, 18, 21, 19, 22]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(RSGNetError, match=r"'coco18'; there are coco17, crowdpose14, people19"):
        get_skeleton("coco18")


def test_indices_in_matches_by_name():
    np.testing.assert_array_equal(COCO17.indices_in(PEOPLE19), np.arange(17))
    assert PEOPLE19.indices_in(COCO17).tolist() == [*range(17), -1, -1]
    in_coco = CROWDPOSE14.indices_in(COCO17)
    assert in_coco.tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, -1, -1]


@pytest.mark.parametrize(("skeleton", "count", "limbs"), [(COCO17, 17, 18), (CROWDPOSE14, 14, 14), (PEOPLE19, 19, 21)])
def test_sizes(skeleton, count, limbs):
    assert (len(skeleton), len(skeleton.limbs)) == (count, limbs)


@pytest.mark.parametrize(
    ("skeleton", "name", "sigma"),
    [(COCO17, "nose", 0.026), (COCO17, "left_hip", 0.107), (CROWDPOSE14, "head", 0.079), (PEOPLE19, "neck", 0.079)],
)
def test_sigmas(skeleton, name, sigma):
    assert skeleton.sigmas[skeleton.keypoints.index(name)] == sigma


def test_golden_sigmas_and_flip_pairs(shared):
    golden = np.load(shared("golden/ops/oks_nms.npz"))
    np.testing.assert_allclose(COCO17.sigmas, golden["sigmas_17"])
    np.testing.assert_allclose(CROWDPOSE14.sigmas, golden["sigmas_eval_14"])
    pairs = np.load(shared("golden/ops/flip.npz"))
    assert [list(pair) for pair in COCO17.flip_pairs] == pairs["pairs_17"].tolist()
    assert [list(pair) for pair in CROWDPOSE14.flip_pairs] == pairs["pairs_14"].tolist()


class TestReadSkeleton:
    KEYPOINTS = 'name = "stick"\nkeypoints = ["top", "left_foot", "right_foot"]\n'
    EDGES = 'edges = [["top", "left_foot"], ["top", "right_foot"]]\n'

    @pytest.fixture
    def read(self, tmp_path):
        def read(text):
            (tmp_path / "stick.toml").write_text(text)
            return read_skeleton(tmp_path / "stick.toml")

        return read

    def test_optional_keys_have_defaults(self, read, tmp_path):
        skeleton = read(self.KEYPOINTS + self.EDGES)
        assert (skeleton.name, skeleton.keypoints) == ("stick", ("top", "left_foot", "right_foot"))
        assert skeleton.edges == skeleton.limbs == ((0, 1), (0, 2))
        assert skeleton.flip_pairs == ((1, 2),) and skeleton.sigmas == (DEFAULT_SIGMA,) * 3
        assert get_skeleton(str(tmp_path / "stick.toml")) == get_skeleton(skeleton) == skeleton

    @pytest.mark.parametrize("sigmas", ["[0.1, 0.2, 0.2]", "{ top = 0.1, left_foot = 0.2, right_foot = 0.2 }"])
    def test_all_keys_are_read(self, read, sigmas):
        more = f'limbs = [["left_foot", "right_foot"]]\nflip_pairs = []\nsigmas = {sigmas}\n'
        skeleton = read(self.KEYPOINTS + self.EDGES + more)
        assert (skeleton.limbs, skeleton.flip_pairs, skeleton.sigmas) == (((1, 2),), (), (0.1, 0.2, 0.2))

    def test_missing_sigmas_get_the_default(self, read):
        assert read(self.KEYPOINTS + self.EDGES + "sigmas = { top = 0.1 }").sigmas == (0.1, 0.07, 0.07)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name = ", "not valid TOML"),
            (KEYPOINTS, "has no edges"),
            (EDGES, "has no name, keypoints"),
            (KEYPOINTS + EDGES + "joints = 3", "unknown joints; a skeleton has name, keypoints"),
            (KEYPOINTS.replace("stick", "coco17") + EDGES, "not one of coco17"),
            (KEYPOINTS.replace('"stick"', "7") + EDGES, "it is 7"),
            (KEYPOINTS.replace("left_foot", "top") + "edges = []", "unique"),
            ('name = "a"\nkeypoints = "top"\nedges = []', "must be a list of keypoint names, not 'top'"),
            (KEYPOINTS + "edges = 7", "list of pairs"),
            (KEYPOINTS + 'edges = [["top", "hand"]]', "is not a pair of names out of top, left_foot"),
            (KEYPOINTS + 'edges = [["top"]]', "is not a pair"),
            (KEYPOINTS + "edges = [[0, 1]]", "keypoint names, not"),
            (KEYPOINTS + EDGES + "sigmas = [0.1]", "expected 3 positive sigmas"),
            (KEYPOINTS + EDGES + "sigmas = [0.1, 0.1, 0]", "positive numbers"),
            (KEYPOINTS + EDGES + "sigmas = [0.1, 0.1, inf]", "positive numbers"),
            (KEYPOINTS + EDGES + "sigmas = { hand = 0.1 }", "no keypoint is named hand"),
        ],
    )
    def test_an_invalid_file_is_refused(self, read, text, message):
        with pytest.raises(RSGNetError, match=message) as caught:
            read(text)
        assert "stick.toml: " in str(caught.value)

    def test_a_missing_file(self):
        with pytest.raises(RSGNetError, match=r"none\.toml: cannot be read: No such file"):
            get_skeleton("none.toml")
