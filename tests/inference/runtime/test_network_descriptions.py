"""Descriptions of published networks are found by name, in a file, beside the network or by the network's name."""

import pytest

from rsgnet.errors import WeightsError
from rsgnet.inference.runtime.network_descriptions import PRESETS, NetworkDescription, choose_skeleton, find_description
from rsgnet.skeletons import SKELETONS


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("vitpose-b-coco.onnx", "vitpose"),
        ("ViTPose_huge.onnx", "vitpose"),
        ("rtmpose-m_simcc-body7_pt-body7_420e-256x192.onnx", "rtmpose"),
        ("rtmw-x_simcc-cocktail14.onnx", "rtmpose"),
        ("dw-ll_ucoco_384.onnx", "rtmpose"),
        ("tinypose_256_192_fp16.xml", "tinypose"),
        ("td-hm_hrnet-w32_8xb64-210e_coco-256x192.onnx", "hrnet-mmpose"),
    ],
)
def test_the_name_of_a_file_says_what_it_is(tmp_path, name, preset):
    assert find_description(tmp_path / name, None) == PRESETS[preset]


@pytest.mark.parametrize("name", ["pose.onnx", "hrnet_w48_udp.onnx", "td-hm_hrnet-w32_dark-8xb64.onnx"])
def test_other_names_need_a_word(tmp_path, name):
    with pytest.raises(
        WeightsError, match=r"say what it is: --network vitpose or .*describe it in \S+\.toml beside it"
    ):
        find_description(tmp_path / name, None)


def test_the_named_comes_before_the_file_beside_and_that_before_the_name(tmp_path):
    path = tmp_path / "vitpose.onnx"
    (tmp_path / "vitpose.toml").write_text('network = "rtmpose"\npadding = 1.5')
    (tmp_path / "mine.toml").write_text('alignment = "corners"\nskeleton = "sub/feet.toml"')
    assert find_description(path, None) == NetworkDescription(outputs="simcc", refinement="none", padding=1.5)
    assert find_description(path, "tinypose") == PRESETS["tinypose"]
    named = find_description(path, str(tmp_path / "mine.toml"))
    assert (named.alignment, named.skeleton) == ("corners", str(tmp_path / "sub/feet.toml"))
    with pytest.raises(WeightsError, match=r"vitpose\.onnx: --network vit: expected vitpose, .* or a \.toml file"):
        find_description(path, "vit")


@pytest.mark.parametrize("skeleton", ["coco17", "people19", "halpe26", "mpii16", "wholebody133"])
def test_the_number_of_keypoints_says_the_skeleton(tmp_path, skeleton):
    expected = SKELETONS[skeleton]
    assert choose_skeleton(NetworkDescription(), len(expected), tmp_path / "x.onnx") is expected


def test_a_number_that_two_skeletons_have_is_asked_about(tmp_path):
    with pytest.raises(WeightsError, match=r'x\.toml beside it: skeleton = "crowdpose14" or "aic14"'):
        choose_skeleton(NetworkDescription(), 14, tmp_path / "x.onnx")
    described = NetworkDescription(skeleton="aic14")
    assert choose_skeleton(described, 14, tmp_path / "x.onnx").name == "aic14"
    with pytest.raises(WeightsError, match="no skeleton is named 'aic'"):
        choose_skeleton(NetworkDescription(skeleton="aic"), 14, tmp_path / "x.onnx")
