"""The site builds strictly and offline, documents every name and command, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from tests.docs.pages import DOCS, ROOT

import rsgnet
from rsgnet.cli import app

pytestmark = pytest.mark.xdist_group("docs")

# The attribute of each tag that a browser fetches by itself; of links only these kinds.
FETCHED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "link": "href"}
FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest"}


class Page(HTMLParser):
    """A page's anchors, texts, and the addresses that a browser fetches for it."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.fetched, self.texts = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.anchors.add(given["id"])
        kinds = set((given.get("rel") or "stylesheet").split())
        if tag in FETCHED and FETCHED[tag] in given and (tag != "link" or kinds & FETCHED_LINKS):
            self.fetched.append(given[FETCHED[tag]])

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    # Network access would go to a proxy that does not exist.
    dead_proxy = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **dead_proxy}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path.read_text()) for path in site.rglob("*.html")}


def test_every_page_of_docs_is_built(pages):
    for path in DOCS.rglob("*.md"):
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        assert f"{name}.html" in pages


def test_fetched_addresses_are_found():
    page = Page('<link rel="preconnect" href="https://a"><script src=//b></script><a href="https://c"></a><img src=d>')
    assert page.fetched == ["https://a", "//b", "d"]


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        for address in page.fetched:
            parts = urlsplit(address)
            assert not parts.netloc and parts.scheme in ("", "data"), f"{name} fetches {address}"
            # The 404 page names its files from the root.
            start = site if address.startswith("/") else (site / name).parent
            target = start / unquote(parts.path).lstrip("/")
            assert parts.scheme == "data" or target.exists(), f"{name} fetches {address}, which is not there"
    for sheet in site.rglob("*.css"):
        asked = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]*)", sheet.read_text())
        assert asked == [], f"{sheet} fetches {asked}"


def test_every_public_name_is_documented(pages):
    anchors = pages["reference/rsgnet.html"].anchors
    assert {f"rsgnet.{name}" for name in rsgnet.__all__} <= anchors
    inference = pages["reference/inference.html"].anchors
    assert {"rsgnet.inference.video.tracking.Tracker", "rsgnet.inference.estimator.PoseEstimator.stream"} <= inference


def test_every_module_is_documented(pages):
    package = Path(rsgnet.__file__).parent
    documented = set().union(*(page.anchors for name, page in pages.items() if name.startswith("reference/")))
    without_page = {"cli", "reproduce", "files", "images", "defaults", "skeleton_tables"}
    for path in package.rglob("[!_]*.py"):
        module = path.relative_to(package).with_suffix("")
        assert module.parts[0] in without_page or f"rsgnet.{'.'.join(module.parts)}" in documented, module


def test_every_command_and_option_is_documented(pages):
    page = pages["reference/commands.html"]
    text = "".join(page.texts)

    def check(command, name):
        assert name in text
        for parameter in command.params:
            for option in [*parameter.opts, *parameter.secondary_opts]:
                assert not option.startswith("--") or option in text, f"{name} {option}"
        for each, inner in getattr(command, "commands", {}).items():
            summary = inner.help.partition("\n")[0].partition("[")[0]
            assert text.count(summary) >= 2, f"{each}: cut in the list of commands"
            check(inner, f"{name} {each}")

    check(typer.main.get_command(app), "rsgnet")
    assert "[bold]" not in text and "&#x27;" not in text and "<span" not in text


def test_the_search_works_from_disk(site, browser):
    browser.get((site / "howto" / "export.html").as_uri())
    browser.find_element("css selector", "[data-md-component=search-query]").send_keys("ownership")
    deadline = time.monotonic() + 60
    titles = []
    while not titles and time.monotonic() < deadline:
        time.sleep(0.2)
        found = browser.find_elements("css selector", ".md-search-result__item h1")
        titles = [each.get_attribute("textContent") for each in found]
    assert any("ownership" in title.lower() for title in titles)


def test_titles_of_code_blocks_are_for_readers(site):
    texts = [page.read_text(encoding="utf-8") for page in site.rglob("*.html")]
    assert not any("not run by the tests" in text for text in texts)
    assert any('class="filename">It needs Docker' in text for text in texts)
