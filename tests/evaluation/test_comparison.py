import json

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.errors import AnnotationError
from rsgnet.evaluation.comparison import draw_difference, rank_differences
from rsgnet.skeletons import COCO17, CROWDPOSE14

KEYPOINTS = np.column_stack([np.linspace(20, 60, 17), np.linspace(30, 130, 17), np.full(17, 2.0)])


def person(score=0.5, shift=0.0, moved=(), keypoint_scores=None):
    keypoints = KEYPOINTS + np.array([shift, 0, 0])
    keypoints[list(moved), 1] += 1000
    scores = np.full(17, 0.8) if keypoint_scores is None else keypoint_scores
    return Person(1, np.array([20.0 + shift, 30, 40, 100]), keypoints, 2000.0, False, score, scores)


def results(skeleton=COCO17, **images):
    listed = [
        AnnotatedImage(n, f"{name}.png", (0, 0), tuple(people)) for n, (name, people) in enumerate(images.items())
    ]
    return Annotations("a.json", skeleton, tuple(listed))


def test_total_of_one_image():
    # A pair of mean score 0.6 with one of 17 keypoints far off (OKS 16/17), and one unmatched person of score 0.4.
    first, second = results(a=[person(0.8)]), results(a=[person(0.4, moved=[3]), person(0.4, shift=500)])
    (difference,) = rank_differences(first, second)
    assert difference.total == pytest.approx(0.6 / 17 + 0.4)
    assert [(pair.first, pair.second) for pair in difference.pairs] == [(None, 1), (0, 0)]


def test_keypoints_are_weighted_by_their_scores():
    scores = np.where(np.arange(17) == 3, 0.0, 0.8)
    first, second = results(a=[person(keypoint_scores=scores)]), results(a=[person(moved=[3], keypoint_scores=scores)])
    assert rank_differences(first, second)[0].total == pytest.approx(0, abs=1e-9)


def test_images_are_sorted_and_include_those_of_one_side():
    first = results(same=[person()], gone=[person(0.9)], moved=[person()])
    second = results(same=[person()], moved=[person(moved=range(8))], new=[person(0.3)])
    names = [(each.file_name, round(each.total, 2)) for each in rank_differences(first, second)]
    assert names == [("gone.png", 0.9), ("new.png", 0.3), ("moved.png", round(0.5 * 8 / 17, 2)), ("same.png", 0.0)]
    assert rank_differences(first, second, threshold=0.95)[0].total == 0


def test_matching_in_order_of_descending_oks():
    first = results(a=[person(0.9), person(0.8, shift=4)])
    second = results(a=[person(0.9, shift=4), person(0.8)])
    assert {(pair.first, pair.second) for pair in rank_differences(first, second)[0].pairs} == {(0, 1), (1, 0)}
    assert rank_differences(first, second)[0].total == pytest.approx(0)


def test_incomparable_results_raise():
    with pytest.raises(AnnotationError, match="the same keypoints needed"):
        rank_differences(results(a=[person()]), results(CROWDPOSE14, a=[]))
    with pytest.raises(AnnotationError, match="share no image"):
        rank_differences(results(a=[person()]), results(b=[person()]))


def test_unmatched_people_are_boxed_and_agreement_is_grey():
    image = np.zeros((200, 300, 3), np.uint8)
    (unmatched,) = rank_differences(results(a=[person()]), results(a=[]))
    page = np.asarray(draw_difference(unmatched, image, COCO17, ("one", "two")), np.int64)
    half = page.shape[1] // 2
    colourful = np.ptp(page, axis=-1) > 100
    assert colourful[:, :half].any() and not colourful[:, half:].any()
    (agreeing,) = rank_differences(
        results(a=[person()]), results(a=[person(moved=[16], keypoint_scores=np.full(17, 0.8))])
    )
    page = np.asarray(draw_difference(agreeing, image, COCO17, ("one", "two")), np.int64)
    assert not (np.ptp(page, axis=-1) > 100).any()


def test_command(rsgnet, tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (120, 200)).save(tmp_path / name)
    for file, shift in (("one", 0.0), ("two", 30.0)):
        entries = [
            {
                "file_name": name,
                "score": 0.5,
                "keypoints": (KEYPOINTS + np.array([shift * (name == "b.png"), 0, 0])).ravel().tolist(),
            }
            for name in ("a.png", "b.png")
        ]
        (tmp_path / f"{file}.json").write_text(json.dumps(entries))
    arguments = [tmp_path / "one.json", tmp_path / "two.json", "--out", tmp_path / "out"]
    code, printed, _ = rsgnet("compare", *arguments, "--images", tmp_path)
    assert code == 0 and "b.png" in printed.splitlines()[0] and "2 images, 1 of them without difference" in printed
    listed = json.loads((tmp_path / "out/differences.json").read_text())
    assert [each["file_name"] for each in listed] == ["b.png", "a.png"] and listed[1]["difference"] == 0
    assert [path.name for path in sorted((tmp_path / "out").glob("*.jpg"))] == ["001-b.jpg"]
    assert rsgnet("compare", *arguments, "--images", tmp_path / "nowhere")[0] == 2
