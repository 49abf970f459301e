import subprocess
import sys

import pytest

import rsgnet


def test_every_name_is_there():
    assert len(rsgnet.__all__) <= 14 and sorted(rsgnet.__all__) == sorted(rsgnet._HOMES)
    for name in rsgnet.__all__:
        assert getattr(rsgnet, name).__class__ and name in dir(rsgnet)
    assert rsgnet.__version__[0].isdigit()


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = rsgnet.nonsense


def test_importing_loads_nothing_heavy():
    heavy = ("torch", "onnxruntime", "numpy", "PIL", "pydantic", "rich")
    code = f"import rsgnet, rsgnet.errors, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
