"""The public names exist, and importing the package is cheap."""

import subprocess
import sys

import pytest

import rsgnet


def test_every_public_name_can_be_imported():
    assert len(rsgnet.__all__) <= 18 and sorted(rsgnet.__all__) == sorted(rsgnet._MODULES)
    for name in rsgnet.__all__:
        assert getattr(rsgnet, name).__class__ and name in dir(rsgnet)
    assert rsgnet.__version__[0].isdigit()


def test_an_unknown_name_raises():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = rsgnet.nonsense


def test_import_loads_no_large_library():
    heavy = ("torch", "onnxruntime", "numpy", "PIL", "pydantic", "rich")
    code = f"import rsgnet, rsgnet.errors, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
