import numpy as np
import pytest
from PIL import Image

from rsgnet.tiles import draw_dots, draw_lines, heat_colours, heat_over, matrix, sheet

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
