"""What is left half done is not taken for done."""

import pytest

from rsgnet.checkpoint import build, save_model
from rsgnet.data.annotations import read_annotations
from rsgnet.data.crowd_sets import write_crowds
from rsgnet.errors import RSGNetError
from rsgnet.reproduce import made_up
from rsgnet.reproduce.arms import PLAIN, arm_config
from rsgnet.reproduce.runs import find_poses, has_poses, is_trained


@pytest.fixture
def place(tmp_path):
    config = arm_config("nano", [*made_up.tiny_settings("nano"), *PLAIN.settings])
    save_model(build(config), config, tmp_path / "model")
    return tmp_path, write_crowds(tmp_path / "crowds", 2, seed=0, size_wh=(160, 120))


def test_a_network_without_checkpoint_is_trained(place):
    root, _ = place
    assert is_trained(root, epochs=9)
    assert not is_trained(root / "crowds", epochs=9)


def test_poses_are_those_of_the_weights_boxes_and_flip_test(place):
    root, labels = place
    model, out = root / "model", root / "poses"
    assert not has_poses(out, model, "gt")
    find_poses(out, model, read_annotations(labels), root / "crowds" / "images", "gt", flip_test=False)
    assert has_poses(out, model, "gt") and has_poses(out, model, "gt", flip_test=False, boxes_file=labels)
    assert not has_poses(out, model, "boxes.json")
    assert not has_poses(out, model, "gt", flip_test=True)
    labels.write_text(labels.read_text() + " ")
    assert has_poses(out, model, "gt") and not has_poses(out, model, "gt", boxes_file=labels)


def test_a_part_is_not_taken_for_the_whole(place):
    root, labels = place
    (root / "crowds" / "images" / "000002.png").unlink()
    with pytest.raises(RSGNetError, match="1 images could not be read"):
        find_poses(root / "poses", root / "model", read_annotations(labels), root / "crowds" / "images", "gt")
    assert not has_poses(root / "poses", root / "model", "gt")
