"""The light install has no PyTorch: everything but training can be imported and run without it."""

import json
import subprocess
import sys
import textwrap

import numpy as np
from PIL import Image

BLOCKED = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "safetensors",
    "jaxtyping",
    "onnx",
    "onnxscript",
    "cv2",
    "openvino",
    "nncf",
    "ray",
    "pyarrow",
    "fsspec",
)

PROGRAM = """
import importlib, importlib.abc, json, pkgutil, sys
from pathlib import Path

class MissingLibraries(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, MissingLibraries())
import rsgnet
for package in ("annotations", "crowds", "inference", "evaluation", "calibrate", "server"):
    package = "rsgnet." + package
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
for module in ("cli", "draw", "poses", "images", "presets", "config", "heatmaps", "cli.data"):
    importlib.import_module("rsgnet." + module)
for name in rsgnet.__all__:
    try:
        getattr(rsgnet, name)
    except rsgnet.RSGNetError as error:
        assert name == "RSGNet" and "pip install 'rsgnet[train]'" in str(error)

from rsgnet import cli
pose, boxes, folder = map(Path, sys.argv[1:])
poses = rsgnet.PoseEstimator(pose, f"onnx:{{boxes}}")(folder / "a.png")
assert len(poses) == 1 and poses.draw().size == (64, 64)
import types
hub = sys.modules["huggingface_hub"] = types.ModuleType("huggingface_hub")
hub.snapshot_download = lambda name, **_: str(pose)
assert len(rsgnet.PoseEstimator.from_pretrained("user/model", detector="full")(folder / "a.png")) == 1
poses = rsgnet.PoseEstimator("nano", "full")(folder / "a.png")
assert poses.owned.shape == (1, 17) and poses.draw(rivals=True).size == (64, 64)

def run(*arguments):
    sys.argv = ["rsgnet", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0

options = ["--weights", pose, "--detector", f"onnx:{{boxes}}"]
assert run("predict", folder, "--out", folder / "out", *options) == 0
assert json.loads((folder / "out" / "poses.json").read_text())
assert run("predict", folder, "--out", folder / "out", "--backend", "torch", *options) == 2
assert run("predict", folder, "--out", folder / "out", "--backend", "openvino", *options) == 2
assert run("predict-dataset", folder, "--out", folder / "out", *options) == 2
assert run("train", "nano", "--data", "x.json", "--out", folder / "run") == 2
assert not set({blocked}) & set(sys.modules)
print("done")
"""


def test_everything_but_training_runs_without_pytorch(pose_network, box_network, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(tmp_path / "photos" / "a.png")
    program = textwrap.dedent(PROGRAM).format(blocked=BLOCKED)
    arguments = [pose_network(name="p"), box_network([[5, 5, 50, 60]], [0.9], name="b"), tmp_path / "photos"]
    process = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0 and process.stdout == "done\n", process.stderr
    errors = [line for line in process.stderr.splitlines() if line.startswith("error:")]
    assert ["[openvino]" in line for line in errors] == [False, True, False, False]
    assert ["pip install 'rsgnet[ray]'" in line for line in errors] == [False, False, True, False]
    assert ["pip install 'rsgnet[train]'" in line for line in errors] == [True, False, False, True]
    assert len(json.loads((tmp_path / "photos" / "out" / "poses.json").read_text())) == 1
