"""Every code block of the tutorial and the how-to pages runs as it stands, or its title says that it does not."""

import shutil

import pytest
from tests.docs.pages import DOCS, NOT_RUN, blocks, run_page

pytestmark = pytest.mark.xdist_group("docs")  # one worker, so that the tutorial runs once

TUTORIAL = "tutorial.md"
# These pages continue in a copy of the tutorial's folder.
HOW_TO = [
    "howto/calibration.md",
    "howto/crowds.md",
    "howto/evaluation.md",
    "howto/export.md",
    "howto/leaks.md",
    "howto/other-tools.md",
    "ownership.md",
    "service.md",
    "video.md",
]
# All blocks that are not run: page, first words of the code, and the reason in the title.
SHOWN_ONLY = {
    ("accuracy.md", "rsgnet evaluate", "needs COCO's images"),
    ("accuracy.md", "rsgnet train", "takes three hours of a core and COCO's images"),
    ("howto/crowds.md", "rsgnet crowds", "needs labelled photos"),
    ("howto/evaluation.md", "rsgnet reproduce", "needs CrowdPose and COCO"),
    ("howto/export.md", "rsgnet export", "takes a minute"),
    ("howto/leaks.md", "rsgnet data", "needs COCO and CrowdPose"),
    ("howto/other-tools.md", "import fiftyone", "needs FiftyOne"),
    ("howto/other-tools.md", "import supervision", "needs supervision and OpenCV"),
    ("howto/other-tools.md", "rsgnet predict", "needs a clip"),
    ("howto/published-networks.md", "from rsgnet", "needs a published file"),
    ("howto/published-networks.md", "network =", "a file beside the network"),
    ("howto/published-networks.md", "rsgnet calibrate", "needs a published file"),
    ("howto/published-networks.md", "rsgnet fetch", "it needs a network"),
    ("howto/published-networks.md", "rsgnet predict", "needs a published file"),
    ("howto/published-networks.md", "sha256sum yolox_nano.onnx", "it needs the file"),
    ("howto/published-networks.md", "rsgnet convert", "it needs the file"),
    ("howto/ways-in.md", "pip install", "it opens a browser"),
    ("howto/ways-in.md", "pip install", "it serves until Ctrl-C, and needs an account"),
    ("howto/ways-in.md", "docker build", "it needs Docker"),
    ("method.md", "python docs/method_images.py", "in a clone; a test of its own runs it"),
    ("releasing.md", "make licences", "takes minutes, and asks a package index"),
    ("scaling.md", "pip install", "needs the internet"),
    ("scaling.md", "import pyarrow.dataset", "needs a finished run"),
    ("scaling.md", "poses/ manifest.json", "what a run leaves"),
    ("security.md", "python -m", "runs for an hour"),
    ("service.md", "FROM python:3.12-slim", "a Dockerfile"),
    ("service.md", "[Service] ExecStart=/opt/rsgnet/bin/rsgnet", "/etc/systemd/system/rsgnet.service"),
    ("service.md", "pip install", "needs the internet"),
    ("tutorial.md", "python -m", "needs the internet"),
    ("video.md", "pip install", "needs the internet"),
    ("video.md", "rsgnet crowds", "takes minutes"),
    ("video.md", "rsgnet predict", "needs a camera"),
    ("video.md", '{"file_name": "clip.mp4",', "one line of a file, shortened"),
}
PAGES = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="session")
def tutorial_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    run_page(TUTORIAL, folder)
    return folder


def test_the_tutorial(tutorial_folder):
    assert (tutorial_folder / "runs/mine/model/model.onnx").is_file()
    assert (tutorial_folder / "measured/report.html").is_file()
    assert (tutorial_folder / "found/crowd.jpg").is_file()


@pytest.mark.parametrize("page", HOW_TO)
def test_a_page(page, tutorial_folder, tmp_path):
    if page == "service.md" and shutil.which("curl") is None:
        pytest.skip("the page asks the service with curl, which is not installed")
    run_page(page, shutil.copytree(tutorial_folder, tmp_path / "folder"))


def test_every_block_is_run_or_says_that_it_is_not():
    found = [block for page in PAGES for block in blocks(page)]
    shown = {(b.page, " ".join(b.code.split()[:2]), b.title.removeprefix(NOT_RUN)) for b in found if b.is_shown_only}
    assert shown == SHOWN_ONLY
    for block in found:
        kinds = [block.is_file, block.is_run, block.is_shown_only]
        assert sum(kinds) == 1, f"docs/{block.page}:{block.line} is neither run nor a file, and does not say so"
        assert block.is_shown_only or block.page in (TUTORIAL, *HOW_TO), f"{block.page} is not run by these tests"


def test_a_failing_block_is_named(tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text("# Page\n\n```sh\ntrue\n```\n\n```sh\nfalse | cat\n```\n")
    monkeypatch.setattr("tests.docs.pages.DOCS", tmp_path)
    with pytest.raises(AssertionError, match=r"docs/page\.md:7 ends with 1"):
        run_page("page.md", tmp_path)


def test_files_are_written_and_code_is_run(tmp_path, monkeypatch):
    file, code = (
        '```toml title="a.toml"\nx = 1\n```\n\n',
        '```python\nassert open("a.toml").read() == "x = 1\\n"\n```\n',
    )
    (tmp_path / "page.md").write_text(f"{file}{code}\n    stray\n")
    monkeypatch.setattr("tests.docs.pages.DOCS", tmp_path)
    written, run, stray = blocks("page.md")
    assert written.is_file and run.is_run and not (stray.is_file or stray.is_run or stray.is_shown_only)
    run_page("page.md", tmp_path)
