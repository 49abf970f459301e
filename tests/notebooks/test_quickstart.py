"""The notebook runs from its first cell to its last, and is committed without outputs."""

import json
import re
import subprocess
import sys

import pytest
from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path, tmp_path):
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    assert content["nbformat"] == 4 and len(cells) > 5
    assert all(cell["outputs"] == [] for cell in content["cells"] if cell["cell_type"] == "code")
    installs = [cell for cell in cells if cell.startswith("%")]
    assert installs == ["%pip install -q rsgnet"]
    # As a notebook does, the value of a cell's last line is shown: that makes the drawing.
    code = ["import ast", "def show(cell):"]
    code += ["    tree = ast.parse(cell)"]
    code += ["    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None"]
    code += ["    exec(compile(tree, 'cell', 'exec'), globals())"]
    code += ["    value = eval(compile(ast.Expression(last.value), 'cell', 'eval'), globals()) if last else None"]
    code += ["    drawn = value._repr_png_() if hasattr(value, '_repr_png_') else None"]
    code += ["    print('shown', type(value).__name__, drawn is not None)"]
    code += [f"show({cell!r})" for cell in cells if not cell.startswith("%")]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "shown Poses True" in done.stdout and done.stdout.count("shown Image True") == 3
    assert re.search(r"Poses\(\d+ (people|person), coco17, 1200x675\)", done.stdout)
    assert json.loads((tmp_path / "poses.json").read_text()) is not None


def test_there_is_a_notebook():
    assert NOTEBOOKS
