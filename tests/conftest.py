"""Fixtures of several folders: golden data, and tiny networks whose answers can be worked out by hand."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsgnet import cli
from rsgnet.config import CropConfig, DecodeConfig, DetectorConfig, ModelConfig, PoseConfig
from rsgnet.config_files import to_json
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.outputs import HeatmapOutput
from rsgnet.skeletons import get_skeleton

SHARED = Path(__file__).parents[2] / "shared"
PEOPLE_COLOURS = [(220, 60, 60), (60, 200, 60), (60, 80, 230), (210, 200, 40), (200, 50, 200), (40, 200, 200)]
MILLISECOND = Fraction(1, 1000)
BROWSER_SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--window-size=1200,900",
)


def load_script(path: Path) -> ModuleType:
    """Returns a Python file that is in no package, such as a benchmark, as a module of its name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


PEOPLE19_OWNERSHIP = Path(__file__).with_name("people19_ownership.json")  # a fit for a network with candidates


@pytest.fixture(scope="session")
def light_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a model directory of rsgnet-light with random weights, both back ends' files and an ownership fit."""
    torch = pytest.importorskip("torch")
    from rsgnet.checkpoint import build, save_model
    from rsgnet.export.directory import export_onnx
    from rsgnet.presets import rsgnet_light

    directory = tmp_path_factory.mktemp("light") / "model"
    torch.manual_seed(0)
    network: Any = build(rsgnet_light())
    for head in (network.candidate_head, network.target_head):
        torch.nn.init.normal_(head.weight, std=0.3)
    save_model(network, rsgnet_light(), directory)
    shutil.copy(PEOPLE19_OWNERSHIP, directory / "ownership.json")
    export_onnx(directory)
    return directory


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Returns the path of a file of ../shared; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"{SHARED / name} is absent")
        return SHARED / name

    return find


def colour_config(skeleton: str = "coco17", **decode: Any) -> PoseConfig:
    """The config of a network that finds colours in crops of 48x64."""
    return PoseConfig(
        name="colours",
        crop=CropConfig(size_wh=(48, 64), stride=4, pixel_centre=0.5),
        model=ModelConfig(backbone="none", skeleton=skeleton, relation=None, skeleton_graph=False),
        decode=DecodeConfig(**{"flip_test": False, **decode}),
    )


class ConstantNetwork(PoseNetwork):
    """A network that finds every keypoint in the middle of the crop; it shows no inner maps."""

    config = colour_config()

    def run(self, crops: np.ndarray) -> HeatmapOutput:
        heatmaps = np.zeros((len(crops), 17, 16, 12), np.float32)
        heatmaps[:, :, 8, 6] = 1
        return HeatmapOutput(heatmaps)


@pytest.fixture
def pose_network(tmp_path: Path) -> Callable[..., Path]:
    """Makes a model directory (or a lone .onnx file) whose keypoint heatmaps are the crop's colours, averaged 4x4.

    The first keypoint (the nose) is where the crop is green, odd ones are where it is red, the others where it is blue.
    """
    onnx = pytest.importorskip("onnx", reason="the tiny networks are built with onnx")
    from onnx import TensorProto, helper, numpy_helper

    def make(config: PoseConfig | None = None, *, lone: bool = False, name: str = "colours") -> Path:
        config = config or colour_config()
        (width, height), stride = config.crop.size_wh, config.crop.stride
        count = len(get_skeleton(config.model.skeleton))
        mix = np.zeros((count, 3, 1, 1), np.float32)
        mix[np.arange(count), [1 if k == 0 else 0 if k % 2 else 2 for k in range(count)]] = 1 / 255
        nodes = [
            helper.make_node("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[stride] * 2, strides=[stride] * 2),
            helper.make_node("Conv", ["pooled", "mix"], ["target_heatmaps"]),
            helper.make_node("Identity", ["target_heatmaps"], ["candidate_heatmaps"]),
        ]
        maps = ["batch", count, height // stride, width // stride]
        graph = helper.make_graph(
            nodes,
            "colours",
            [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["batch", height, width, 3])],
            [helper.make_tensor_value_info(f"{o}_heatmaps", TensorProto.FLOAT, maps) for o in ("target", "candidate")],
            [numpy_helper.from_array(mix, "mix")],
        )
        return _save(onnx, graph, config, tmp_path / name, lone)

    return make


@pytest.fixture
def box_network(tmp_path: Path) -> Callable[..., Path]:
    """Makes a detector that gives the same boxes, in pixels of its 64x64 input, for every image."""
    onnx = pytest.importorskip("onnx", reason="the tiny networks are built with onnx")
    from onnx import TensorProto, helper, numpy_helper

    def make(boxes: list[list[float]], scores: list[float], *, lone: bool = False, name: str = "boxes") -> Path:
        config = replace(DetectorConfig(name="detector"), size_wh=(64, 64))
        count = len(scores)
        nodes = [
            helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
            helper.make_node("Concat", ["batch", "boxes_tail"], ["boxes_shape"], axis=0),
            helper.make_node("Concat", ["batch", "scores_tail"], ["scores_shape"], axis=0),
            helper.make_node("Expand", ["boxes", "boxes_shape"], ["boxes_xyxy"]),
            helper.make_node("Expand", ["score", "scores_shape"], ["scores"]),
        ]
        graph = helper.make_graph(
            nodes,
            "boxes",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 64, 64, 3])],
            [
                helper.make_tensor_value_info("boxes_xyxy", TensorProto.FLOAT, ["batch", count, 4]),
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", count]),
            ],
            [
                numpy_helper.from_array(np.asarray(boxes, np.float32).reshape(1, count, 4), "boxes"),
                numpy_helper.from_array(np.asarray(scores, np.float32).reshape(1, count), "score"),
                numpy_helper.from_array(np.array([count, 4], np.int64), "boxes_tail"),
                numpy_helper.from_array(np.array([count], np.int64), "scores_tail"),
            ],
        )
        return _save(onnx, graph, config, tmp_path / name, lone)

    return make


def _save(onnx: Any, graph: Any, config: PoseConfig | DetectorConfig, directory: Path, lone: bool) -> Path:
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    if lone:
        onnx.helper.set_model_props(model, {"rsgnet": to_json(config)})
        onnx.save(model, directory.with_suffix(".onnx"))
        return directory.with_suffix(".onnx")
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(to_json(config))
    onnx.save(model, directory / "model.onnx")
    return directory


@pytest.fixture
def colours() -> Callable[..., np.ndarray]:
    """Draws a black image with round blobs: red for odd keypoints, blue for even ones, green for the nose."""

    def draw(size_wh: tuple[int, int], red: Any, blue: Any, green: Any, sigma: float = 6.0) -> np.ndarray:
        y, x = np.mgrid[: size_wh[1], : size_wh[0]]
        planes = [np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2)) for at in (red, green, blue)]
        return np.round(250 * np.stack(planes, -1)).astype(np.uint8)

    return draw


@pytest.fixture
def people_set(tmp_path: Path) -> tuple[Path, Path]:
    """A COCO file with polygon masks and its six images, each of one person of one colour on a grey background."""
    body = {  # per cent of the width and height of a standing person's box
        "nose": (50, 6), "left_eye": (54, 5), "right_eye": (46, 5), "left_ear": (60, 6), "right_ear": (40, 6),
        "left_shoulder": (72, 18), "right_shoulder": (28, 18), "left_elbow": (84, 34), "right_elbow": (16, 34),
        "left_wrist": (88, 48), "right_wrist": (12, 48), "left_hip": (64, 50), "right_hip": (36, 50),
        "left_knee": (64, 74), "right_knee": (36, 74), "left_ankle": (64, 96), "right_ankle": (36, 96),
    }  # fmt: skip
    (tmp_path / "images").mkdir(exist_ok=True)
    images, annotations = [], []
    for number, colour in enumerate(PEOPLE_COLOURS, 1):
        left, top, width, height = 100 + 8 * number, 30 + 3 * number, 60, 150
        image = np.full((220, 300, 3), 128, np.uint8)
        image[top : top + height, left : left + width] = colour
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        right, bottom = left + width, top + height
        triples = [(left + width * x / 100, top + height * y / 100, 2) for x, y in body.values()]
        images.append({"id": number, "file_name": f"{number}.png", "width": 300, "height": 220})
        annotations.append(
            {
                "id": 10 * number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [left, top, width, height],
                "area": width * height,
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                "keypoints": [value for triple in triples for value in triple],
                "num_keypoints": 17,
            }
        )
    categories = [{"id": 1, "name": "person", "keypoints": list(body), "skeleton": []}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "people.json").write_text(json.dumps(content))
    return tmp_path / "people.json", tmp_path / "images"


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Makes a clip: white in its upper left quarter, else grey that grows by 8 a frame; its sound is noise."""
    av = pytest.importorskip("av", reason="clips are made with PyAV")

    def make(
        name: str = "clip.mp4",
        frames: int = 12,
        size_wh: tuple[int, int] = (64, 48),
        times_ms: Sequence[int] | None = None,
        sound: str | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}  # so that truncated files open
        with av.open(str(path), "w", options=options) as target:
            video = target.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "4", "crf": "10"})
            video.width, video.height, video.pix_fmt = *size_wh, "yuv420p"
            video.codec_context.time_base = MILLISECOND
            audio = None
            if sound is not None:
                audio = target.add_stream(sound, rate=16_000)
                audio.layout = "mono"
            for index in range(frames):
                image = np.full((size_wh[1], size_wh[0], 3), 8 * index % 200, np.uint8)
                image[: size_wh[1] // 2, : size_wh[0] // 2] = 255
                frame = av.VideoFrame.from_ndarray(image)
                frame.pts, frame.time_base = (times_ms[index] if times_ms else 100 * index), MILLISECOND
                target.mux(video.encode(frame))
                if audio is not None:
                    noise = np.random.default_rng(index).integers(-3000, 3000, (1, 1600)).astype(np.int16)
                    samples = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
                    samples.sample_rate, samples.pts = 16_000, 1600 * index
                    target.mux(audio.encode(samples))
            for stream in (video, audio) if audio is not None else (video,):
                target.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def sound_of() -> Callable[[Path], list[bytes]]:
    """Returns the packets of a clip's sound."""
    av = pytest.importorskip("av")

    def read(path: Path) -> list[bytes]:
        with av.open(str(path)) as source:
            packets = source.demux(source.streams.audio) if source.streams.audio else ()
            return [bytes(packet) for packet in packets if packet.size]

    return read


def run_rsgnet(*arguments: object) -> Any:
    """Runs the command line `rsgnet ...` in this process; returns the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["rsgnet", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            return end.code or 0
    return 0


@pytest.fixture
def rsgnet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command line `rsgnet ...`; returns the exit code, standard output, and the lines of standard error."""

    def run(*arguments: object) -> tuple[Any, str, list[str]]:
        code = run_rsgnet(*arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window; the test is skipped where it or selenium is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'rsgnet[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (*BROWSER_SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()
