"""`rsgnet convert`: what it writes serves, and what it cannot read it names."""

import pytest
import torch
from tests.test_released import CONFIGS, published

from rsgnet.checkpoint import load_pose_model, read_config


def test_a_checkpoint_becomes_a_model_directory(rsgnet, tmp_path):
    model, weights = published(CONFIGS["rsgnet17"])
    torch.save(weights, tmp_path / "tiny.pth")
    code, said, _ = rsgnet("convert", tmp_path / "tiny.pth", tmp_path / "model")
    assert code == 0 and "coco17, 64x64, heatmaps at stride 2, relation dense" in said
    assert read_config(tmp_path / "model").name == "tiny"
    torch.testing.assert_close(load_pose_model(tmp_path / "model").state_dict(), model.state_dict())


def test_the_size_is_given_where_weights_do_not_tell(rsgnet, tmp_path):
    torch.save(published(CONFIGS["simplebaseline"])[1], tmp_path / "tiny.pth")
    assert rsgnet("convert", tmp_path / "tiny.pth", tmp_path / "model", "--size", "384x288")[0] == 0
    assert read_config(tmp_path / "model").crop.size_wh == (288, 384)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["none.pth", "model"], "none.pth: no such file"), (["none.pth", "model", "--size", "wide"], "--size wide")],
)
def test_what_cannot_be_used_ends_in_one_line(rsgnet, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, errors = rsgnet("convert", *arguments)
    assert code == 2 and len(errors) == 1 and message in errors[0]
    assert list(tmp_path.iterdir()) == []
