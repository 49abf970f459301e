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


def test_figure_by_annotations(rsgnet, tmp_path, truth):
    """Two of three images differ; one result has the labels, the other the first person's nose elsewhere."""
    labels = [{"keypoints": KEYPOINTS.ravel().tolist(), "bbox": [20, 30, 40, 100], "area": 2000.0, "iscrowd": 0}]
    path = truth(*([each | {"num_keypoints": 17, "category_id": 1} for each in labels] for _ in range(3)))
    (tmp_path / "images").mkdir()
    for number in (1, 2, 3):
        Image.new("RGB", (120, 200)).save(tmp_path / f"images/{number}.jpg")
    for name, wrong in (("one", []), ("two", [2, 3])):
        entries = []
        for number in (1, 2, 3):
            keypoints = KEYPOINTS.copy()
            keypoints[: number * (number in wrong), 0] += 500
            entries.append({"image_id": number, "score": 0.01, "keypoints": keypoints.ravel().tolist()})
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    results = [tmp_path / "one.json", tmp_path / "two.json"]
    arguments = [*results, "--images", tmp_path, "--out", tmp_path / "out", "--figure", "--annotations", path]
    code, printed, errors = rsgnet("compare", *arguments)
    assert code == 0, errors
    assert "keypoints right only in A (one): 5, only in B (two): 0" in printed
    listed = json.loads((tmp_path / "out/differences.json").read_text())
    assert [each["file_name"] for each in listed] == ["images/3.jpg", "images/2.jpg", "images/1.jpg"]
    assert [each["right_in_a_only"] for each in listed] == [3, 2, 0]
    assert (tmp_path / "out/figure.svg").read_text().count("data:image/jpeg") == 2
    assert (tmp_path / "out/figure.html").read_text().count("data:image/jpeg") == 2
    code, printed, _ = rsgnet("compare", results[0], results[0], *arguments[2:])
    assert code == 0 and "3 images, none with a keypoint that is right in one result only" in printed
    code, _, errors = rsgnet("compare", *arguments[:-2])
    assert code == 2 and "--figure needs --annotations" in "\n".join(errors)
