"""Networks of other projects give keypoints where their training code puts them; files that contradict are refused."""

import warnings

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.published_networks import NETWORKS, write_constant_network, write_graph, write_network, write_published

from rsgnet.errors import RSGNetWarning, WeightsError
from rsgnet.inference.crops import cut_crop, predict_crops
from rsgnet.inference.detectors.detector import Boxes, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime import published_network
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.runtime.outputs import HeatmapOutput, SimccOutput

BOX = np.array([100.0, 40.0, 190.0, 160.0])  # of 3 : 4, so that the crop is this box times 1.25
RED, BLUE, GREEN = (132, 70), (160, 118), (148, 95)


def predict(path, image, network=None, flip_test=False, prefix="onnx:"):
    """The pose in BOX: (K, 2) keypoints and (K,) scores."""
    opened = open_network(f"{prefix}{path}" + (f"@{network}" if network else ""))
    found = predict_crops(opened, [cut_crop(image, BOX, opened.config.crop)], flip_test, with_features=True)
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("flip_test", [False, True])
def test_keypoints_are_found_where_their_colours_are(tmp_path, colours, name, flip_test):
    _, keypoints, _ = NETWORKS[name]
    image = colours((300, 220), RED, BLUE, GREEN)
    # The mirrored crop shows the other side of the body in its colour: with the flip test, all have one colour.
    if flip_test:
        image = np.repeat(image[..., :1], 3, -1)
    found = predict(write_published(tmp_path, name), image, flip_test=flip_test)
    expected = np.array([GREEN if k == 0 else RED if k % 2 else BLUE for k in range(keypoints)])
    if flip_test:
        expected[:] = RED
    assert found.keypoints_xy.shape == (1, keypoints, 2)
    # The stub reads every fourth pixel of the crop, as no network with corners aligned does: a pixel of difference.
    assert np.abs(found.keypoints_xy[0] - expected).max() < (1.3 if name.startswith("vitpose") else 0.75)
    assert found.scores.min() > 0.8


def peaks(xy, shape_hw=(64, 48)):
    """(1, h, w) a Gaussian around a place of the heatmap."""
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / 8)[None].repeat(17, 0)


@pytest.mark.parametrize(
    ("network", "to_share"),
    [
        # The share of the crop's region at which heatmap pixel (i, j) lies, by each project's own formula.
        ("vitpose", lambda i, j: (i / 47, j / 63)),
        ("hrnet-mmpose", lambda i, j: (4 * i / 192, 4 * j / 256)),
        ("tinypose", lambda i, j: (4 * i / 191, 4 * j / 255)),
    ],
)
def test_heatmap_pixels_lie_where_the_projects_put_them(tmp_path, network, to_share):
    place = 30.0, 21.0
    path = write_constant_network(tmp_path / "n.onnx", peaks(place), (192, 256))
    with pytest.warns(RSGNetWarning, match="one crop at a time"):
        found = predict(path, np.zeros((220, 300, 3), np.uint8), network)
    size = (BOX[2:] - BOX[:2]) * 1.25
    left_top = (BOX[:2] + BOX[2:]) / 2 - size / 2
    np.testing.assert_allclose(found.keypoints_xy[0], np.tile(left_top + size * to_share(*place), (17, 1)), atol=1e-3)


def test_a_gaussian_between_pixels_is_found_as_vitpose_finds_it(tmp_path):
    place = 30.3, 21.6
    path = write_constant_network(tmp_path / "vitpose.onnx", peaks(place), (192, 256), "batch")
    found = predict(path, np.zeros((220, 300, 3), np.uint8))
    size = (BOX[2:] - BOX[:2]) * 1.25
    left_top = (BOX[:2] + BOX[2:]) / 2 - size / 2
    # The blurred logarithm of a Gaussian is a parabola, whose second-order step is exact.
    np.testing.assert_allclose(found.keypoints_xy[0], np.tile(left_top + size * place / [47, 63], (17, 1)), atol=2e-3)


@pytest.mark.parametrize("flip_test", [False, True])
def test_simcc_is_decoded_as_two_maxima_of_which_the_lesser_is_the_score(tmp_path, monkeypatch, flip_test):
    network = open_network(f"onnx:{write_published(tmp_path, 'rtmpose-m')}")
    random = np.random.default_rng(0)
    across, down = (random.random((1, 17, length), np.float32) for length in (384, 512))
    mirrored_across, mirrored_down = across, down

    class Scores:
        input, inputs, outputs, metadata = network._backend.input, network._backend.inputs, (), {}

        def run(self, names, tensor, others=None):
            return [across, down]

    network._backend = Scores()
    crop = cut_crop(np.zeros((220, 300, 3), np.uint8), BOX, network.config.crop)
    found = predict_crops(network, [crop], flip_test, with_features=True)
    if flip_test:  # column x of the mirrored crop is W - 1 - x of the crop; position p is column p / 2
        swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
        back = np.stack([mirrored_across[0, k, [max(2 * 191 - p, 0) for p in range(384)]] for k in swap])
        across, down = ((across[0] + back) / 2)[None], (down + mirrored_down[:, swap]) / 2
    size = (BOX[2:] - BOX[:2]) * 1.25
    left_top = (BOX[:2] + BOX[2:]) / 2 - size / 2
    expected = left_top + size * np.stack([across[0].argmax(-1) / 384, down[0].argmax(-1) / 512], -1)
    np.testing.assert_allclose(found.keypoints_xy[0], expected, atol=1e-3)
    np.testing.assert_allclose(found.scores[0], np.minimum(across[0].max(-1), down[0].max(-1)), rtol=1e-6)
    assert (found.candidates[0, :, 1, 2] > 0).all()  # a second peak of random scores is high
    np.testing.assert_allclose(found.candidates[0, :, 0, :2], expected, atol=1e-3)


class TestInput:
    def test_colours_are_normalised_and_ordered(self, tmp_path):
        (tmp_path / "n.toml").write_text(
            'network = "hrnet-mmpose"\nchannels = "bgr"\nmean = [0.5, 0, 0]\nstd = [0.25, 1, 1]'
        )
        # The mean of the first channel that the network gets, everywhere.
        nodes = [
            helper.make_node("ReduceMean", ["input", "axes"], ["means"], keepdims=1),
            helper.make_node("Gather", ["means", "first"], ["channel"], axis=1),
            helper.make_node("Expand", ["channel", "shape"], ["maps"]),
        ]
        constants = [
            helper.make_tensor(name, TensorProto.INT64, [len(value)], value)
            for name, value in {"axes": [2, 3], "shape": [1, 17, 16, 12], "first": [0]}.items()
        ]
        path = write_graph(tmp_path / "n.onnx", nodes, [1, 3, 64, 48], {"maps": [1, 17, 16, 12]}, constants)
        with pytest.warns(RSGNetWarning, match="slow"):
            network = open_network(f"onnx:{path}")
        crops = np.zeros((2, 64, 48, 3), np.uint8)
        crops[0, ..., 2] = 51  # blue, the first channel of BGR, a fifth of 255
        output = network.run(crops)
        np.testing.assert_allclose(output.target_heatmaps[:, 0, 0, 0], [0.2, 0.0], atol=1e-6)
        crops[..., 0] = 255
        (tmp_path / "n.toml").write_text('network = "hrnet-mmpose"\nmean = [0.5, 0, 0]\nstd = [0.25, 1, 1]')
        output = open_network(f"onnx:{path}").run(crops)
        np.testing.assert_allclose(output.target_heatmaps[:, 0, 0, 0], [2.0, 2.0], atol=1e-6)

    @pytest.mark.parametrize("batch", [1, 2, "batch"])
    def test_any_number_of_crops_gives_the_same_whatever_batch_the_file_takes(self, tmp_path, batch):
        crops = np.random.default_rng(0).integers(0, 256, (5, 64, 48, 3), np.uint8)
        expected = open_network(f"onnx:{write_network(tmp_path / 'hrnet.onnx', 'heatmaps', 17, (48, 64))}").run(crops)
        path = write_network(tmp_path / "hrnet-b.onnx", "heatmaps", 17, (48, 64), batch=batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RSGNetWarning)
            network = open_network(f"onnx:{path}")
        np.testing.assert_allclose(network.run(crops).target_heatmaps, expected.target_heatmaps, rtol=1e-5)
        assert network.run(crops[:0]).target_heatmaps.shape == (0, 17, 16, 12)

    def test_openvino_gives_what_onnx_runtime_gives(self, tmp_path):
        openvino = pytest.importorskip("openvino")
        crops = np.random.default_rng(0).integers(0, 256, (3, 256, 192, 3), np.uint8)
        path = write_published(tmp_path, "rtmpose-m")
        expected = open_network(f"onnx:{path}").run(crops)
        openvino.save_model(openvino.Core().read_model(path), tmp_path / "rtmpose-m.xml", compress_to_fp16=False)
        for name in ("rtmpose-m.onnx", "rtmpose-m.xml"):
            output = open_network(f"openvino:{tmp_path / name}").run(crops)
            np.testing.assert_allclose(output.across, expected.across, atol=1e-5)
            np.testing.assert_allclose(output.down, expected.down, atol=1e-5)

    def test_the_warning_about_a_batch_of_one_is_not_for_others(self, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            open_network(f"onnx:{write_published(tmp_path, 'vitpose-s')}")


class TestRefusals:
    @pytest.mark.parametrize(
        ("toml", "message"),
        [
            ('skeleton = "crowdpose14"', "predicts 17 keypoints, but its description says crowdpose14, which has 14"),
            ("size_wh = [288, 384]", "takes crops of 192x256, but its description says 288x384"),
            ('outputs = "simcc"', "gives heatmaps, but its description says simcc"),
            ("mean = [123.675, 116.28, 103.53]", "divide .* by 255"),
            ("heatmap_sigma = 2", "heatmap_sigma: Unexpected keyword"),
            ('network = "vitpose"\npadding = "wide"', "padding: "),
            ('network = "mediapipe"', "network must be one of vitpose, rtmpose"),
            ('skeleton = "mine.toml"', r"mine\.toml: cannot be read"),
            ("skeleton = ", "not valid TOML"),
        ],
    )
    def test_a_description_that_does_not_fit(self, tmp_path, toml, message):
        path = write_published(tmp_path, "vitpose-s")
        (tmp_path / "vitpose-s.toml").write_text(toml)
        with pytest.raises(WeightsError, match=rf"vitpose-s\.(onnx|toml): .*{message}|mine.toml: cannot be read"):
            open_network(f"onnx:{path}")

    def test_outputs_of_no_layout_are_listed_with_what_would_fit(self, tmp_path):
        pool = [helper.make_node("GlobalAveragePool", ["input"], ["features"])]
        path = write_graph(tmp_path / "vitpose.onnx", pool, [1, 3, 256, 192], {"features": [1, 3, 1, 1]})
        with pytest.raises(WeightsError, match=r"features \(1, 3, 1, 1\); expected heatmaps .* or SimCC scores"):
            open_network(f"onnx:{path}")

    def test_inputs_that_are_no_crops(self, tmp_path):
        nodes = [helper.make_node("Cast", ["input"], ["maps"], to=TensorProto.FLOAT)]
        shape = [1, 256, 192, 3]
        path = write_graph(tmp_path / "vitpose.onnx", nodes, shape, {"maps": shape}, input_type=TensorProto.UINT8)
        with pytest.raises(WeightsError, match=r"takes input uint8 \(1, 256, 192, 3\); expected one input of crops"):
            open_network(f"onnx:{path}")

    def test_crops_of_any_size_need_a_size(self, tmp_path):
        node = helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4])
        mix = helper.make_node("Conv", ["pooled", "mix"], ["maps"])
        constant = helper.make_tensor("mix", TensorProto.FLOAT, [17, 3, 1, 1], [0.1] * 51)
        shapes = ["b", 3, "h", "w"], {"maps": ["b", 17, "x", "y"]}
        path = write_graph(tmp_path / "vitpose.onnx", [node, mix], *shapes, [constant])
        with pytest.raises(WeightsError, match=r"any size; say which in vitpose\.toml"):
            open_network(f"onnx:{path}")
        (tmp_path / "vitpose.toml").write_text('network = "vitpose"\nsize_wh = [96, 128]')
        network = open_network(f"onnx:{path}")
        assert network.config.crop.size_wh == (96, 128) and network.config.crop.heatmap_shape_hw == (32, 24)

    def test_tensors_in_other_files_are_not_read(self, tmp_path):
        folder = tmp_path / "in"
        folder.mkdir()
        (tmp_path / "w.bin").write_bytes(np.ones(17 * 3, np.float32).tobytes())
        tensor = TensorProto(name="mix", data_type=TensorProto.FLOAT, dims=[17, 3, 1, 1])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../w.bin")
        nodes = [helper.make_node("Conv", ["input", "mix"], ["maps"])]
        path = write_graph(folder / "vitpose.onnx", nodes, [1, 3, 64, 48], {"maps": [1, 17, 64, 48]}, [tensor])
        for prefix in ("onnx:", "openvino:"):
            with pytest.raises(WeightsError, match=r"vitpose\.onnx: keeps tensors in other files"):
                open_network(f"{prefix}{path}")

    def test_files_over_the_limit(self, tmp_path):
        path = tmp_path / "vitpose.onnx"
        with path.open("wb") as file:
            file.truncate(published_network.MAX_NETWORK_BYTES + 1)
        with pytest.raises(WeightsError, match="networks of more than"):
            open_network(f"onnx:{path}")

    def test_numbers_that_are_not_finite(self, tmp_path):
        heatmaps = peaks((3, 3), (16, 12))
        heatmaps[3, 4, 5] = np.nan
        path = write_constant_network(tmp_path / "vitpose.onnx", heatmaps, (48, 64), "batch")
        with pytest.raises(WeightsError, match="not finite"):
            open_network(f"onnx:{path}").run(np.zeros((1, 64, 48, 3), np.uint8))


def test_further_peaks_are_candidates(tmp_path):
    heatmaps = np.maximum(peaks((10, 20)), 0.6 * peaks((30, 50)))
    network = open_network(f"onnx:{write_constant_network(tmp_path / 'vitpose.onnx', heatmaps, (192, 256), 'batch')}")
    image = LoadedImage(np.zeros((220, 300, 3), np.uint8), boxes=Boxes(BOX[None], np.ones(1)))
    poses = PoseEstimator(network, "full", flip_test=False)(image)
    heights = poses.candidates[0, :, :, 2]
    np.testing.assert_allclose(heights[:, :2], np.tile([1.0, 0.6], (17, 1)), atol=1e-5)
    assert (heights[:, 2:] == 0).all() and (poses.candidates[..., 3] == 0).all()
    inspected = network.inspect(np.zeros((256, 192, 3), np.uint8))
    assert inspected.target_heatmaps.shape == (17, 64, 48) and inspected.candidates.shape == (17, 4, 4)


def test_simcc_scores_become_heatmaps():
    across, down = np.zeros((1, 1, 96), np.float32), np.zeros((1, 1, 128), np.float32)
    across[0, 0, 40], down[0, 0, 17] = 0.9, 0.7
    heatmaps = SimccOutput(across, down, 8).to_heatmaps()
    assert (
        heatmaps.shape == (1, 1, 16, 12)
        and heatmaps[0, 0, 2, 5] == np.float32(0.7)
        and heatmaps.sum() == np.float32(0.7)
    )
    assert HeatmapOutput(heatmaps).candidate_tables == ()
