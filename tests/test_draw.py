import numpy as np
import pytest
from PIL import Image

from rsgnet.draw import (
    arrange_tiles,
    draw_dots,
    draw_heatmap,
    draw_lines,
    draw_matrix,
    draw_poses,
    heat_colours,
    person_colour,
)

EDGES = ((0, 1),)


def black(width, height):
    return np.zeros((height, width, 3), np.uint8)


def draw_person(image, points, scores, **options):
    return np.asarray(draw_poses(image, np.array([points], float), np.array([scores]), EDGES, **options))


def test_an_edge_connects_two_keypoints_and_leaves_other_pixels_unchanged():
    image = draw_person(black(100, 60), [[20, 30], [80, 30]], [1.0, 1.0])
    assert image.shape == (60, 100, 3) and image.dtype == np.uint8
    assert image[30, 50].max() > 200  # the middle of the edge
    assert image[10, 50].max() == 0 and image[30, 5].max() == 0


def test_an_edge_is_centred_on_the_pixel_of_the_keypoint():
    column = draw_person(black(400, 41), [[50, 20], [350, 20]], [1.0, 1.0])[:, 200].max(-1).astype(float)
    assert abs((column * np.arange(41)).sum() / column.sum() - 20) < 0.3


@pytest.mark.parametrize(
    ("points", "scores"),
    [
        ([[20, 30], [80, 30]], [0.1, 0.1]),
        ([[np.nan, 30], [np.inf, 30]], [1.0, 1.0]),
        ([[-500, -500], [-400, -500]], [1.0, 1.0]),
    ],
    ids=["below the threshold", "not finite", "outside"],
)
def test_invisible_keypoints_are_not_drawn(points, scores):
    assert draw_person(black(100, 60), points, scores).max() == 0


def test_a_keypoint_below_the_threshold_has_no_edges():
    image = draw_person(black(100, 60), [[20, 30], [80, 30]], [1.0, 0.1])
    assert image[30, 20].max() > 0 and image[30, 50].max() == 0


def test_the_input_image_is_not_modified():
    image = black(100, 60)
    draw_person(image, [[20, 30], [80, 30]], [1.0, 1.0])
    assert image.max() == 0


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 5000), (5000, 1), (2, 3), (4000, 3001)])
def test_images_of_any_size(size_wh):
    points = [[0, 0], [size_wh[0] - 1, size_wh[1] - 1]]
    assert draw_person(black(*size_wh), points, [1.0, 1.0]).shape == (size_wh[1], size_wh[0], 3)


def test_without_people_the_image_is_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(draw_poses(image, np.zeros((0, 2, 2)), np.zeros((0, 2)), EDGES), image)


def test_consecutive_people_have_distinct_colours():
    colours = np.array([person_colour(person) for person in range(12)], float)
    assert np.abs(np.diff(colours, axis=0)).max(-1).min() > 80
    assert (colours.max(-1) > 150).all()


def test_a_keypoint_with_low_owned_is_a_ring_and_its_edge_is_faint():
    points, scores = [[40, 40], [160, 40]], [1.0, 1.0]
    own, other = (draw_person(black(200, 80), points, scores, owned=np.array([[0.9, owned]])) for owned in (0.9, 0.1))
    assert np.array_equal(own, draw_person(black(200, 80), points, scores))
    assert other[40, 100].max() < 0.6 * own[40, 100].max()
    edgeless = [
        np.asarray(
            draw_poses(black(900, 900), np.array([[[450, 450], [50, 50]]], float), np.ones((1, 2)), (), owned=owned)
        )
        for owned in (None, np.array([[0.1, 0.9]]))
    ]
    assert edgeless[0][450, 450].max() > 200 and edgeless[1][450, 450].max() < 50


def test_a_thin_line_connects_a_keypoint_with_its_rival():
    points = np.array([[[20, 30], [20, 40]], [[180, 30], [180, 40]]], float)
    rival = np.array([[1, -1], [-1, -1]])
    plain, shown = (
        np.asarray(draw_poses(black(200, 80), points, np.ones((2, 2)), (), rival=rivals)) for rivals in (None, rival)
    )
    assert plain[:, 100].max() == 0 and shown[30:36, 100].max() > 50 and shown[50:, 100].max() == 0
    assert shown[30:36, 100].max(0).argmax() == np.argmax(person_colour(1))


def test_tracked_people_have_the_colour_of_their_number_and_the_number_above_them():
    points = np.array([[[50, 80], [150, 80]]], float)

    def draw_track(number):
        image = draw_poses(black(200, 120), points, np.ones((1, 2)), EDGES, track_ids=np.array([number]))
        return np.asarray(image, int)

    for number in (3, 4):
        assert draw_track(number)[80, 100] == pytest.approx(person_colour(number), abs=6)
    assert draw_track(3)[:76].max() > 120 and draw_track(-1)[:76].max() == 0
    assert draw_track(-1)[80, 100] == pytest.approx([170] * 3, abs=6)
    assert (draw_track(3)[:76] > 0).any(-1).sum() < 600  # a number, not a filled block


GREY = np.full((40, 30, 3), 100, np.uint8)


def brightness(image):
    return np.asarray(image, np.float64).mean(-1)


def test_higher_values_have_brighter_colours():
    assert (np.diff(brightness(heat_colours(np.linspace(0, 1, 50)))) > 0).all()
    assert np.array_equal(heat_colours([-1, 2]), heat_colours([0, 1]))


def test_a_heatmap_is_drawn_at_its_place():
    heat = np.zeros((10, 8))
    heat[2, 6] = 1
    shown = brightness(draw_heatmap(GREY, heat, (80, 100)))
    y, x = np.unravel_index(shown.argmax(), shown.shape)
    assert shown.shape == (100, 80) and abs(x - 65) <= 5 and abs(y - 25) <= 5


def test_stronger_lines_are_brighter_and_on_top():
    black = Image.new("RGB", (40, 40))
    ends = [[[20, 0], [20, 39]], [[0, 20], [39, 20]], [[0, 5], [39, 5]]]
    shown = brightness(draw_lines(black, ends, [1.0, 0.5, 0.0]))
    assert shown[10, 20] > shown[20, 5] > shown[30, 5] == 0
    assert shown[20, 20] == pytest.approx(shown[10, 20], abs=1) and shown[5, 5] < 1


def test_dots_are_drawn_on_their_points():
    drawn = np.asarray(draw_dots(Image.new("RGB", (40, 40)), [[10, 30]], [(255, 0, 0)], 5))
    assert drawn[30, 10].tolist() == [255, 0, 0] and drawn[10, 30].tolist() == [0, 0, 0]


def test_matrix_rows_are_in_order():
    values = np.zeros((3, 3))
    values[0, 2] = 1
    shown = brightness(draw_matrix(values, ["a", "a", "b"], 300))
    cells = shown[:, 30:][:250]
    assert cells[40, 230] > 200 > cells[200, 40]  # first row, last column
    assert draw_matrix(np.zeros((0, 0)), [], 100).size == (100, 100)


def test_arranged_tiles_are_complete_and_captions_are_cut():
    tiles = [("x" * 200, Image.new("RGB", (50, 60), colour)) for colour in ("red", "green", "blue")]
    page = arrange_tiles(tiles, 2, "t" * 500)
    colours = {colour for _, colour in page.getcolors(10**6)}
    assert {(255, 0, 0), (0, 128, 0), (0, 0, 255)} <= colours and page.width == 8 + 2 * 58
