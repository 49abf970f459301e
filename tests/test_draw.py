import numpy as np
import pytest
from PIL import Image

from rsgnet.draw import (
    arrange_tiles,
    draw_dots,
    draw_heatmap,
    draw_lines,
    draw_matrix,
    heat_colours,
    person_colour,
)


def test_consecutive_people_have_distinct_colours():
    colours = np.array([person_colour(person) for person in range(12)], float)
    assert np.abs(np.diff(colours, axis=0)).max(-1).min() > 80
    assert (colours.max(-1) > 150).all()


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
