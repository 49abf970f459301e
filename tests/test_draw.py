import numpy as np
import pytest
from PIL import Image

from rsgnet.draw import draw_dots, draw_lines, draw_poses, heat_colours, heat_over, matrix, person_colour, sheet

EDGES = ((0, 1),)


def black(width, height):
    return np.zeros((height, width, 3), np.uint8)


def drawn(image, places, scores, **options):
    return np.asarray(draw_poses(image, np.array([places], float), np.array([scores]), EDGES, **options))


def test_a_line_joins_two_keypoints_and_nothing_else_is_touched():
    image = drawn(black(100, 60), [[20, 30], [80, 30]], [1.0, 1.0])
    assert image.shape == (60, 100, 3) and image.dtype == np.uint8
    assert image[30, 50].max() > 200  # in the middle of the line
    assert image[10, 50].max() == 0 and image[30, 5].max() == 0


def test_the_line_is_centred_on_the_pixel_that_a_keypoint_names():
    column = drawn(black(400, 41), [[50, 20], [350, 20]], [1.0, 1.0])[:, 200].max(-1).astype(float)
    assert abs((column * np.arange(41)).sum() / column.sum() - 20) < 0.3


@pytest.mark.parametrize(
    ("places", "scores"),
    [
        ([[20, 30], [80, 30]], [0.1, 0.1]),
        ([[np.nan, 30], [np.inf, 30]], [1.0, 1.0]),
        ([[-500, -500], [-400, -500]], [1.0, 1.0]),
    ],
    ids=["below the threshold", "not finite", "outside"],
)
def test_what_is_not_to_be_seen_is_not_drawn(places, scores):
    assert drawn(black(100, 60), places, scores).max() == 0


def test_an_unsure_keypoint_takes_its_lines_away():
    image = drawn(black(100, 60), [[20, 30], [80, 30]], [1.0, 0.1])
    assert image[30, 20].max() > 0 and image[30, 50].max() == 0


def test_the_image_given_is_left_alone():
    image = black(100, 60)
    drawn(image, [[20, 30], [80, 30]], [1.0, 1.0])
    assert image.max() == 0


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 5000), (5000, 1), (2, 3), (4000, 3001)])
def test_any_shape_is_drawn_on(size_wh):
    places = [[0, 0], [size_wh[0] - 1, size_wh[1] - 1]]
    assert drawn(black(*size_wh), places, [1.0, 1.0]).shape == (size_wh[1], size_wh[0], 3)


def test_nobody_leaves_the_image_as_it_was():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(draw_poses(image, np.zeros((0, 2, 2)), np.zeros((0, 2)), EDGES), image)


def test_neighbours_have_colours_far_apart():
    colours = np.array([person_colour(person) for person in range(12)], float)
    assert np.abs(np.diff(colours, axis=0)).max(-1).min() > 80
    assert (colours.max(-1) > 150).all()


def test_a_keypoint_that_may_be_anothers_is_hollow_and_its_edge_faint():
    places, scores = [[40, 40], [160, 40]], [1.0, 1.0]
    sure, unsure = (drawn(black(200, 80), places, scores, owned=np.array([[0.9, owned]])) for owned in (0.9, 0.1))
    assert np.array_equal(sure, drawn(black(200, 80), places, scores))
    assert unsure[40, 100].max() < 0.6 * sure[40, 100].max()
    edgeless = [
        np.asarray(
            draw_poses(black(900, 900), np.array([[[450, 450], [50, 50]]], float), np.ones((1, 2)), (), owned=owned)
        )
        for owned in (None, np.array([[0.1, 0.9]]))
    ]
    assert edgeless[0][450, 450].max() > 200 and edgeless[1][450, 450].max() < 50


def test_a_thin_line_leads_to_the_rival():
    places = np.array([[[20, 30], [20, 40]], [[180, 30], [180, 40]]], float)
    rival = np.array([[1, -1], [-1, -1]])
    plain, shown = (
        np.asarray(draw_poses(black(200, 80), places, np.ones((2, 2)), (), rival=whose)) for whose in (None, rival)
    )
    assert plain[:, 100].max() == 0 and shown[30:36, 100].max() > 50 and shown[50:, 100].max() == 0
    assert shown[30:36, 100].max(0).argmax() == np.argmax(person_colour(1))


def test_people_who_are_tracked_have_the_colour_of_their_number_and_it_by_them():
    place = np.array([[[50, 80], [150, 80]]], float)

    def shown(number):
        image = draw_poses(black(200, 120), place, np.ones((1, 2)), EDGES, track_ids=np.array([number]))
        return np.asarray(image, int)

    for number in (3, 4):
        assert shown(number)[80, 100] == pytest.approx(person_colour(number), abs=6)
    assert shown(3)[:76].max() > 120 and shown(-1)[:76].max() == 0
    assert shown(-1)[80, 100] == pytest.approx([170] * 3, abs=6)
    assert (shown(3)[:76] > 0).any(-1).sum() < 600  # a number, no block


GREY = np.full((40, 30, 3), 100, np.uint8)


def brightness(image):
    return np.asarray(image, np.float64).mean(-1)


def test_hotter_is_brighter():
    assert (np.diff(brightness(heat_colours(np.linspace(0, 1, 50)))) > 0).all()
    assert np.array_equal(heat_colours([-1, 2]), heat_colours([0, 1]))


def test_heat_lies_where_it_is():
    heat = np.zeros((10, 8))
    heat[2, 6] = 1
    shown = brightness(heat_over(GREY, heat, (80, 100)))
    y, x = np.unravel_index(shown.argmax(), shown.shape)
    assert shown.shape == (100, 80) and abs(x - 65) <= 5 and abs(y - 25) <= 5


def test_the_stronger_line_is_the_brighter_and_lies_over_the_weaker():
    black = Image.new("RGB", (40, 40))
    ends = [[[20, 0], [20, 39]], [[0, 20], [39, 20]], [[0, 5], [39, 5]]]
    shown = brightness(draw_lines(black, ends, [1.0, 0.5, 0.0]))
    assert shown[10, 20] > shown[20, 5] > shown[30, 5] == 0
    assert shown[20, 20] == pytest.approx(shown[10, 20], abs=1) and shown[5, 5] < 1


def test_dots_are_where_they_are_and_rings_are_hollow():
    shown = np.asarray(draw_dots(Image.new("RGB", (40, 40)), [[10, 30], [30, 10]], [(255, 0, 0)] * 2, 5, [True, False]))
    assert shown[30, 10].tolist() == [255, 0, 0] and shown[10, 30].tolist() == [0, 0, 0] and shown[10, 35, 0] == 255


def test_a_matrix_has_its_rows_in_order():
    values = np.zeros((3, 3))
    values[0, 2] = 1
    shown = brightness(matrix(values, ["a", "a", "b"], 300))
    cells = shown[:, 30:][:250]
    assert cells[40, 230] > 200 > cells[200, 40]  # first row, last column
    assert matrix(np.zeros((0, 0)), [], 100).size == (100, 100)


def test_a_sheet_holds_all_tiles_and_cuts_captions():
    tiles = [("x" * 200, Image.new("RGB", (50, 60), colour)) for colour in ("red", "green", "blue")]
    page = sheet(tiles, 2, "t" * 500)
    colours = {colour for _, colour in page.getcolors(10**6)}
    assert {(255, 0, 0), (0, 128, 0), (0, 0, 255)} <= colours and page.width == 8 + 2 * 58
