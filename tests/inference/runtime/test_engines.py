"""The choice of the back end, for processors and installations other than this machine's, too."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsgnet import cli
from rsgnet.config_files import SHIPPED
from rsgnet.errors import WeightsError
from rsgnet.inference.runtime import engines
from rsgnet.inference.runtime.engines import SPEEDS, Engine, Processor, choose_engine, describe_processor

PERFORMANCE = Path(__file__).parents[3] / "docs" / "performance.json"
AVX2 = Processor("old", ("avx2", "fma"), 4)
AVX512 = Processor("new", ("avx2", "fma", "avx512f", "avx512_bf16"), 2)
AMX = Processor("wide", ("avx2", "avx512f", "avx512_bf16", "amx_bf16"), 8)
ARM = Processor("arm", ("asimd",), 4)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(engines, "gpu_is_visible", lambda: False)


@pytest.fixture
def installed(monkeypatch):
    """Returns a function that sets which libraries are installed."""
    return lambda *names: monkeypatch.setattr(engines, "_is_installed", lambda name: name in names)


@pytest.mark.parametrize(("processor", "kind"), [(AVX2, "avx2"), (AVX512, "avx512"), (AMX, "amx"), (ARM, "other")])
def test_the_kind_of_processor_is_that_of_its_widest_units(processor, kind):
    assert processor.kind == kind


def test_this_machine_is_described():
    processor = describe_processor()
    assert processor.name and processor.cores >= 1 and set(processor.instructions) <= set(engines.INSTRUCTION_SETS)


FAST, SLOW = {Engine("openvino"): 1.3, Engine("openvino", "bf16"): 2.0}, {Engine("openvino"): 1.1}


@pytest.mark.parametrize(
    ("kind", "libraries", "expected"),
    [
        ("avx512", ["openvino", "torch"], "openvino float32"),
        ("avx512", ["torch"], "onnx float32"),
        ("avx2", ["openvino"], "onnx float32"),  # too little faster
        ("other", ["openvino"], "onnx float32"),
    ],
)
def test_auto_takes_the_fastest_that_is_installed(installed, monkeypatch, kind, libraries, expected):
    monkeypatch.setattr(engines, "SPEEDS", {"avx512": FAST, "avx2": SLOW})
    installed(*libraries)
    assert str(choose_engine("small", kind=kind)) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"backend": "torch"}, Engine("torch")),
        ({"backend": "onnx", "precision": "float32"}, Engine("onnx")),
        ({"precision": "bf16"}, Engine("openvino", "bf16")),
        ({"precision": "int8"}, Engine("openvino", "int8")),
        ({"device": "cuda:1"}, Engine("onnx")),
        ({"device": "mps"}, Engine("torch")),
    ],
)
def test_what_is_asked_for_is_kept(installed, wanted, expected):
    installed("openvino", "torch")
    assert choose_engine("small", **wanted, kind="avx512") == expected


def test_a_gpu_is_used_where_there_is_one(installed, monkeypatch):
    installed("openvino")
    monkeypatch.setattr(engines, "SPEEDS", {"avx512": FAST})
    monkeypatch.setattr(engines, "gpu_is_visible", lambda: True)
    assert choose_engine("small", kind="avx512") == Engine("onnx")
    assert choose_engine("small", device="cpu", kind="avx512") == Engine("openvino")


def test_files_decide_where_only_one_back_end_runs_them(installed, tmp_path):
    installed("openvino", "torch")
    (tmp_path / "network.xml").touch()
    assert choose_engine(tmp_path / "network.xml", kind="other") == Engine("openvino")
    assert choose_engine("onnx:other.onnx", kind="avx512") == Engine("onnx")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((SHIPPED / "nano" / name).read_bytes())
    assert choose_engine(tmp_path, kind="avx512") == Engine("torch")
    with pytest.raises(WeightsError, match="no weights 'absent'"):
        choose_engine("absent")


def test_the_speeds_are_those_measured():
    performance = json.loads(PERFORMANCE.read_text())
    for kind, speeds in SPEEDS.items():
        measured = {
            measurement["name"]: measurement["value"]["median"]
            for measurement in performance[kind]["backend_speed"]["measurements"]
        }
        network = "small" if "small, batch 8: crops per second, onnx float32" in measured else "hrnet-w32-256x192-coco"
        for engine, speed in speeds.items():
            rates = (measured[f"{network}, batch 8: crops per second, {each}"] for each in (engine, engines.BASELINE))
            assert speed == pytest.approx(next(rates) / next(rates), rel=0.1), (kind, engine)


@pytest.mark.parametrize(
    ("processor", "libraries", "lines"),
    [
        (
            AVX512,
            ["openvino"],
            [
                "auto: openvino float32, the fastest here",
                "openvino bf16: 2 times as fast as onnx float32; less exact, so only with --backend openvino --precis",
            ],
        ),
        (
            AVX512,
            [],
            [
                "auto: onnx float32, the fastest here",
                "openvino float32: 1.3 times as fast as onnx float32; pip install 'rsgnet[openvino]'",
            ],
        ),
        (AVX2, ["openvino"], ["old, 4 cores, avx2 fma", "1.1 times as fast as onnx float32; takes a second longer"]),
        (ARM, ["openvino"], ["auto: onnx float32", "no other back end has been measured on a processor of this kind"]),
    ],
)
def test_info_says_what_is_chosen_and_why(installed, monkeypatch, processor, libraries, lines):
    monkeypatch.setattr(engines, "SPEEDS", {"avx512": FAST, "avx2": SLOW})
    installed(*libraries)
    monkeypatch.setattr(engines, "describe_processor", lambda: processor)
    result = CliRunner().invoke(cli.app, ["info", "--machine"], catch_exceptions=False)
    assert result.exit_code == 0
    for line in lines:
        assert line in result.output
    assert ("bf16:" in result.output) == (processor is AVX512)
