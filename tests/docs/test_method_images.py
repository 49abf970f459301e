"""The images of docs/method.md are those that docs/method_images.py draws."""

import subprocess
import sys

import numpy as np
from PIL import Image
from tests.docs.pages import DOCS


def test_the_images_are_up_to_date(tmp_path):
    command = [sys.executable, DOCS / "method_images.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"method-{name}.jpg" for name in ("answer", "crop", "question", "target")]
    for name in names:
        drawn, kept_image = (
            np.asarray(Image.open(each), np.float64) for each in (tmp_path / name, DOCS / "images" / name)
        )
        assert drawn.shape == kept_image.shape and abs(drawn - kept_image).mean() < 1, name
        assert f"images/{name}" in (DOCS / "method.md").read_text()
