"""Overlays: where lines, rings, texts and legends lie, and that they stand off any ground."""

import numpy as np
import pytest

from rsgnet.draw import person_colour
from rsgnet.errors import RSGNetError
from rsgnet.overlays import COLOURS_BY, OverlayStyle, draw_poses
from rsgnet.skeletons import COCO17, Skeleton

TWO = Skeleton("two", ("left_end", "right_end"), ((0, 1),), (), ((0, 1),), (0.1, 0.1))
EDGELESS = Skeleton("dots", ("left_end", "right_end"), (), (), ((0, 1),), (0.1, 0.1))
ORANGE, BLUE = (255, 160, 60), (90, 190, 255)


def ground(width, height, value=0):
    return np.full((height, width, 3), value, np.uint8)


def draw_person(image, points, scores, skeleton=TWO, style=None, **arrays):
    return np.asarray(draw_poses(image, np.array([points], float), np.array([scores]), skeleton, style, **arrays))


def draw_people(points, skeleton=TWO, style=None, size_wh=(200, 120), **arrays):
    scores = np.ones(np.shape(points)[:2])
    return np.asarray(draw_poses(ground(*size_wh, 128), np.array(points, float), scores, skeleton, style, **arrays))


def luminance(colour):
    channels = np.array(colour, float) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(first, second):
    """The contrast ratio of WCAG 2, from 1 to 21."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def measure_width(column):
    """The width in pixels of a line of person 0 across a column, from how much of each pixel has its colour."""
    return ((column[:, 0].astype(float) - column[:, 2]) / (person_colour(0)[0] - person_colour(0)[2])).clip(0).sum()


def test_an_edge_connects_two_keypoints_and_leaves_other_pixels_unchanged():
    image = draw_person(ground(100, 60), [[20, 30], [80, 30]], [1.0, 1.0])
    assert image.shape == (60, 100, 3) and image.dtype == np.uint8
    assert image[30, 50].max() > 200  # the middle of the edge
    assert image[10, 50].max() == 0 and image[30, 5].max() == 0


def test_an_edge_is_centred_on_the_pixel_of_the_keypoint():
    column = draw_person(ground(400, 41), [[50, 20], [350, 20]], [1.0, 1.0])[:, 200].max(-1).astype(float)
    column[column < 30] = 0  # the outline
    assert abs((column * np.arange(41)).sum() / column.sum() - 20) < 0.3


@pytest.mark.parametrize("colour_by", COLOURS_BY)
@pytest.mark.parametrize("value", [0, 90, 128, 200, 255])
def test_lines_stand_off_any_ground(value, colour_by):
    style = OverlayStyle(colour_by=colour_by)
    image = draw_person(ground(300, 60, value), [[50, 30], [250, 30]], [1, 1], style=style, owned=np.ones((1, 2)))
    column = image[:, 150]
    line, outline = column[30], min(column[26:31], key=luminance)
    assert contrast(line, outline) > 3  # as WCAG asks of graphics
    assert max(contrast(line, [value] * 3), contrast(outline, [value] * 3)) > 3


@pytest.mark.parametrize(
    ("size_wh", "line_width", "lowest", "highest"),
    [((448, 300), None, 1.9, 2.6), ((2000, 1500), None, 6, 9), ((448, 300), 7.0, 6, 8)],
)
def test_the_line_width_follows_the_image(size_wh, line_width, lowest, highest):
    width, height = size_wh
    points = [[0.1 * width, height / 2], [0.9 * width, height / 2]]
    image = draw_person(ground(width, height, 128), points, [1, 1], style=OverlayStyle(line_width=line_width))
    assert lowest <= measure_width(image[:, width // 2]) <= highest
    small = draw_person(ground(width, height, 128), [[40, 40], [60, 40]], [1, 1])
    assert 1.9 <= measure_width(small[:, 50]) <= 2.1


@pytest.mark.parametrize(
    ("points", "scores"),
    [
        ([[20, 30], [80, 30]], [0.1, 0.1]),
        ([[np.nan, 30], [np.inf, 30]], [1.0, 1.0]),
        ([[-500, -500], [-400, -500]], [1.0, 1.0]),
    ],
    ids=["below the threshold", "not finite", "outside"],
)
@pytest.mark.parametrize("colour_by", ["person", "side"])
def test_invisible_keypoints_are_not_drawn(points, scores, colour_by):
    if colour_by == "person" or min(scores) < 0.2:
        assert draw_person(ground(100, 60), points, scores, style=OverlayStyle(colour_by=colour_by)).max() == 0


def test_a_keypoint_below_the_threshold_has_no_edges():
    image = draw_person(ground(100, 60), [[20, 30], [80, 30]], [1.0, 0.1])
    assert image[30, 20].max() > 0 and image[30, 50].max() == 0


def test_the_input_image_is_not_modified():
    image = ground(100, 60)
    draw_person(image, [[20, 30], [80, 30]], [1.0, 1.0])
    assert image.max() == 0


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 5000), (5000, 1), (2, 3), (4000, 3001)])
def test_images_of_any_size(size_wh):
    points = [[0, 0], [size_wh[0] - 1, size_wh[1] - 1]]
    style = OverlayStyle(rivals=True, boxes=True, scores=True, labels=True, colour_by="side")
    arrays = {
        "rival": np.array([[0, -1]]),
        "boxes_xyxy": np.array([[0, 0, *size_wh]], float),
        "pose_scores": np.array([0.5]),
    }
    drawn = draw_person(ground(*size_wh), points, [1.0, 1.0], style=style, **arrays)
    assert drawn.shape == (size_wh[1], size_wh[0], 3)


def test_without_people_the_image_is_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    style = OverlayStyle(rivals=True, colour_by="side")
    drawn = draw_poses(image, np.zeros((0, 2, 2)), np.zeros((0, 2)), TWO, style, rival=np.zeros((0, 2), int))
    assert np.array_equal(drawn, image)


def test_a_keypoint_with_low_owned_is_a_ring_and_its_edge_is_faint():
    points, scores = [[40, 40], [160, 40]], [1.0, 1.0]
    own, other = (draw_person(ground(200, 80), points, scores, owned=np.array([[0.9, owned]])) for owned in (0.9, 0.1))
    assert np.array_equal(own, draw_person(ground(200, 80), points, scores))
    assert other[40, 100].max() < 0.6 * own[40, 100].max()
    disc, ring = (
        draw_person(ground(900, 900), [[450, 450], [50, 50]], [1, 1], EDGELESS, owned=owned)
        for owned in (None, np.array([[0.1, 0.9]]))
    )
    assert disc[450, 450].max() > 200 and ring[450, 450].max() < 50 < ring[440:461, 440:461].max()


def test_a_contested_keypoint_has_a_ring_and_dashes_to_the_rival_and_the_legend_says_so():
    points = [[[20, 30], [20, 40]], [[280, 30], [280, 40]]]
    rival = np.array([[1, -1], [-1, -1]])
    style = OverlayStyle(rivals=True)
    plain, shown = (
        draw_people(points, EDGELESS, style, (300, 400), rival=rivals) for rivals in (np.full((2, 2), -1), rival)
    )
    assert (plain[:, 60:240] == 128).all()
    dashes = shown[28:38, 40:240].astype(int)
    is_rivals = np.abs(dashes - person_colour(1)).max(-1) < 60
    assert 0.2 < is_rivals.any(0).mean() < 0.9  # dashes with gaps
    assert (shown[60:300, 60:240] == 128).all()
    assert (shown[300:] != 128).any() and (plain[300:] == 128).all()


def test_left_and_right_are_told_apart():
    points = [[[60, 40], [140, 40]]]
    image = draw_people(points, style=OverlayStyle(colour_by="side"), size_wh=(400, 300))
    assert image[40, 60] == pytest.approx(ORANGE, abs=8) and image[40, 140] == pytest.approx(BLUE, abs=8)
    assert image[40, 100].min() > 220  # an edge across the body is white
    assert (image[200:] != 128).any()  # the legend


def test_colours_by_owned_go_from_red_to_blue():
    style, points = OverlayStyle(colour_by="owned"), [[[60, 40], [140, 40]]]
    image = draw_people(points, EDGELESS, style, (400, 300), owned=np.array([[0.5, 1.0]])).astype(int)
    assert image[40, 140, 2] > image[40, 140, 0] + 100 and image[40, 60, 0] > image[40, 60, 2] + 100


def test_the_legend_lies_where_it_hides_no_keypoint_and_is_left_out_of_small_images():
    style = OverlayStyle(colour_by="side")
    low_left = draw_people([[[30, 280], [90, 280]]], style=style, size_wh=(400, 300))
    assert (low_left[200:260, :120] == 128).all() and low_left[280, 60].min() > 220
    assert (draw_people([[[5, 5], [9, 5]]], style=style, size_wh=(40, 40))[12:] == 128).all()


def coco_person(head_px):
    """A standing person of 140 px whose face is `head_px` wide."""
    face = [(0, 0), (1, -1), (-1, -1), (2, 0), (-2, 0)]
    points = [(60 + head_px / 4 * x, 40 + head_px / 4 * y) for x, y in face]
    for y in (60, 85, 110, 115, 145, 175):
        points += [(72, y), (48, y)]
    return points


def test_the_face_of_a_small_person_stays_visible():
    face, shoulder = slice(34, 46), 60
    small, large = (
        draw_person(ground(240, 240, 128), coco_person(head), np.ones(17), COCO17)[face, 20:110] for head in (12, 40)
    )
    changed = [(part != 128).any(-1).sum() for part in (small, large)]
    assert changed[0] < 60 < changed[1]  # one dot, and all lines of a face that has room for them
    body = draw_person(ground(240, 240, 128), coco_person(12), np.ones(17), COCO17)
    assert (body[shoulder, 48:73] != 128).any(-1).all()


def test_smaller_people_are_drawn_over_larger_ones():
    large, small = [[10, 60], [190, 60]], [[100, 50], [100, 70]]
    for points in ([large, small], [small, large]):
        image = draw_people(points)
        assert image[55, 100] == pytest.approx(person_colour(points.index(small)), abs=12)


def test_boxes_numbers_and_scores_are_drawn_on_request():
    points, box = [[[60, 60], [140, 60]]], np.array([[50, 40, 150, 80]], float)
    arrays = {"boxes_xyxy": box, "pose_scores": np.array([0.5])}
    plain = draw_people(points, **arrays)
    boxed = draw_people(points, style=OverlayStyle(boxes=True), **arrays)
    assert (plain[40, 50:150] == 128).all() and boxed[40, 100] == pytest.approx(person_colour(0), abs=12)
    written = [
        (draw_people(points, style=OverlayStyle(**style), **arrays)[:39] != 128).any(-1).sum()
        for style in ({}, {"labels": True}, {"scores": True}, {"labels": True, "scores": True})
    ]
    assert written[0] == 0 < written[1] < written[2] < written[3]


def test_texts_stay_inside_the_image():
    points, arrays = [[[180, 3], [195, 6]]], {"boxes_xyxy": np.array([[178, 0, 199, 9]], float)}
    texts = [
        (draw_people(points, style=OverlayStyle(labels=labels, scores=labels), pose_scores=np.ones(1), **arrays) != 128)
        for labels in (False, True)
    ]
    added = (texts[1] & ~texts[0]).any(-1)
    assert added.sum() > 100 and not added[40:].any()


def test_tracked_people_have_the_colour_of_their_number_and_the_number_above_them():
    def draw_track(number):
        points = np.array([[[50, 80], [150, 80]]], float)
        image = draw_poses(ground(200, 120), points, np.ones((1, 2)), TWO, track_ids=np.array([number]))
        return np.asarray(image, int)

    for number in (3, 4):
        assert draw_track(number)[80, 100] == pytest.approx(person_colour(number), abs=6)
    assert draw_track(3)[:74].max() > 120 and draw_track(-1)[:74].max() == 0
    assert draw_track(-1)[80, 100] == pytest.approx([185] * 3, abs=6)
    assert (draw_track(3)[:74] > 0).any(-1).sum() < 600  # a number, not a filled block


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"colour_by": "mood"}, "colour_by is one of person, side, owned, not 'mood'"),
        ({"line_width": 0}, "line_width is a positive number of pixels, not 0"),
        ({"line_width": float("nan")}, "line_width is a positive number"),
        ({"rivals": True}, "cannot be drawn with rivals"),
        ({"boxes": True}, "cannot be drawn with boxes"),
        ({"scores": True}, "cannot be drawn with scores"),
        ({"colour_by": "owned"}, 'cannot be drawn with colour_by="owned"'),
    ],
)
def test_bad_styles_raise(style, message):
    with pytest.raises(RSGNetError, match=message):
        draw_people([[[5, 5], [9, 9]]], style=OverlayStyle(**style))
