"""The page in a browser, used as a person uses it."""

import json
import time
from threading import Thread

import pytest
import uvicorn
from PIL import Image
from tests.server.conftest import MIDDLE, SIZE_WH, TIMEOUT_S, WRIST, FakeEstimator, png, three_people

from rsgnet.server.app import create_app

pytest.importorskip("selenium", reason="the page's tests need selenium: pip install 'rsgnet[dev]'")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait


class Page:
    """What people do with the page."""

    def __init__(self, browser, address, downloads):
        self.browser, self.downloads = browser, downloads
        browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        browser.get(address)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def wait(self, condition):
        return WebDriverWait(self.browser, TIMEOUT_S).until(lambda _: condition())

    def open(self, path):
        self.one("#file").send_keys(str(path))

    def wait_for_people(self, count):
        self.wait(lambda: self.one("#status").text.startswith(f"{count} "))

    def point(self, element):
        ActionChains(self.browser).move_to_element(element).perform()

    def click(self, element):
        ActionChains(self.browser).move_to_element(element).click().perform()

    def keys(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def set_slider(self, name, value):
        self.browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
            self.one(f"#{name}"), value,
        )  # fmt: skip

    def downloaded(self, suffix):
        return self.wait(lambda: next(iter(self.downloads.glob(f"*{suffix}")), None))

    def errors(self):
        """Returns what the browser logged: broken scripts, missing files, and violations of the policy."""
        log = self.browser.get_log("browser")
        return [
            entry["message"] for entry in log if entry["level"] == "SEVERE" and "status of 4" not in entry["message"]
        ]


@pytest.fixture
def page(browser, service, tmp_path):
    """Opens the page of a service of its own."""
    servers = []

    def make(**options):
        server = uvicorn.Server(uvicorn.Config(create_app(service(**options)), port=0, log_level="warning"))
        thread = Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        (tmp_path / "downloads").mkdir(exist_ok=True)
        return Page(browser, f"http://127.0.0.1:{port}/", tmp_path / "downloads")

    yield make
    browser.get("about:blank")
    for server, thread in servers:
        server.should_exit = True
        thread.join()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "group photo.png"
    path.write_bytes(png())
    return path


@pytest.fixture
def opened(page, photo):
    """The page, with three people on it."""
    opened = page()
    opened.open(photo)
    opened.wait_for_people(3)
    return opened


def test_it_loads_without_errors_and_from_this_service_only(page):
    opened = page()
    opened.wait(lambda: opened.one("#weights").get_property("length") == 1)
    loaded = opened.browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert opened.browser.title.startswith("RSGNet") and opened.errors() == []
    assert any(name.endswith("main.js") for name in loaded)
    assert all(name.startswith(opened.browser.current_url) for name in loaded)
    assert not opened.one("#hint").get_property("hidden") and not opened.one("#networks").is_displayed()


def test_a_photo_is_shown_with_its_people(opened):
    assert len(opened.all(".person")) == 3 and "3 people" in opened.one("#panel").text
    assert "1 keypoint may belong to somebody else" in opened.one("#panel").text
    frame, photo, dot = (opened.one(name).rect for name in ("#overlay", "#photo", ".person:nth-child(2) circle"))
    assert frame == pytest.approx(photo, abs=1) and frame["width"] / frame["height"] == pytest.approx(4 / 3, rel=0.01)
    # The first keypoint, the nose of the person in the middle, is drawn at its place in the image.
    scale = frame["width"] / SIZE_WH[0]
    assert dot["x"] + dot["width"] / 2 - frame["x"] == pytest.approx((MIDDLE + 0.5) * scale, abs=1)
    assert opened.errors() == []


def test_pointing_at_somebody_highlights_them(opened):
    person = opened.all(".person")[0]
    opened.point(person.find_element(By.CSS_SELECTOR, "circle"))
    opened.wait(lambda: "highlighted" in person.get_attribute("class"))
    opacities = [float(each.value_of_css_property("opacity")) for each in opened.all(".person")]
    assert opacities[0] == 1 and max(opacities[1:]) < 0.5 and opened.all("#overlay mask line")
    opened.point(opened.one("h1"))
    opened.wait(lambda: not opened.all(".person.highlighted"))


def test_a_keypoint_shows_its_candidates(opened):
    person = opened.all(".person")[1]
    opened.point(person.find_element(By.CSS_SELECTOR, "circle"))
    opened.click(opened.wait(lambda: opened.one(".handles [data-keypoint='0']")))
    assert opened.one("#panel [aria-expanded='true']").text == "nose"
    opened.click(opened.one(f".handles [data-keypoint='{WRIST}']"))
    opened.point(opened.one("h1"))  # the selection stays
    details = opened.one(".details")
    assert [each.text for each in details.find_elements(By.TAG_NAME, "dd")] == ["0.90", "0.80", "0.25"]
    assert "May belong to Person 3 (0.50)." in details.text
    rows = [row.text.split() for row in details.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert rows == [["selected", "0.90", "0.60"], ["Person", "3", "0.70", "0.13"]]
    lines = [float(each.get_attribute("stroke-width")) for each in opened.all(".relations line")]
    assert len(lines) == 2 and lines[0] > 2 * lines[1]
    colours = [each.get_attribute("color") for each in opened.all(".person")]
    assert [each.get_attribute("color") for each in opened.all(".relations line")] == colours[1:]


def test_everything_by_keyboard(opened):
    opened.one("#truth").send_keys(Keys.TAB)
    assert "Person 1" in opened.browser.switch_to.active_element.get_attribute("aria-label")
    assert opened.all(".person")[0].get_attribute("class") == "person highlighted"
    opened.keys(Keys.TAB, Keys.ENTER)
    assert "Person 2 of 3" in opened.one("#panel h2").text
    opened.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert opened.one("#panel [aria-expanded='true']").text == "left eye" and len(opened.all(".relations line")) == 2
    opened.keys(Keys.ESCAPE)
    assert not opened.all(".details") and not opened.all(".relations line")


def test_sliders_act_at_once(opened, estimator):
    opened.set_slider("people", 0.5)
    assert len(opened.all(".person")) == 2 and "2 people" in opened.one("#panel").text
    assert len(opened.all(".person .ring")) == 1  # the disputed wrist
    opened.set_slider("owned", 0.8)
    assert len(opened.all(".person .ring")) == 2 * 17
    opened.set_slider("keypoints", 0.95)
    assert not opened.all(".person") and len(estimator.batches) == 1


def test_downloads(opened):
    opened.set_slider("people", 0.5)
    opened.one("#save-json").click()
    results = json.loads(opened.downloaded(".json").read_text())
    assert results == json.loads(json.dumps(three_people("group photo.png").to_coco(candidates=True)))
    opened.one("#save-image").click()
    path = opened.downloaded(".png")
    assert path.name == "group photo_poses.png"
    opened.wait(lambda: path.stat().st_size)
    with Image.open(path) as image:
        assert image.size == SIZE_WH and image.convert("RGB").getpixel((MIDDLE, 35)) != (90, 110, 130)
        assert image.convert("RGB").getpixel((5, 5)) == (90, 110, 130)


def test_a_bad_file_shows_its_error_and_the_next_is_shown(opened, tmp_path, photo):
    (tmp_path / "notes.png").write_text("no image")
    opened.open(tmp_path / "notes.png")
    opened.wait(lambda: opened.one("#error").is_displayed())
    assert opened.one("#error").text.startswith("notes.png: not an image")
    opened.open(photo)
    opened.wait_for_people(3)
    assert not opened.one("#error").is_displayed()


def test_a_file_over_the_limit_is_not_sent(page, tmp_path, estimator):
    opened = page(request_bytes=1_000_000)
    opened.wait(lambda: opened.one("#weights").get_property("length") == 1)
    (tmp_path / "large.png").write_bytes(bytes(1_000_001))
    opened.open(tmp_path / "large.png")
    opened.wait(lambda: "large.png is larger than this service takes (1 MB)" in opened.one("#error").text)
    assert estimator.batches == []


def test_a_drawn_crowd_has_its_boxes_and_annotations(page, estimator):
    opened = page()
    opened.set_slider("crowding", 0.3)
    opened.one("#draw").click()
    opened.wait_for_people(3)
    assert "true boxes" in opened.one("#status").text and len(estimator.boxes[0]) >= 2
    assert not opened.all(".truth line")
    opened.one("#truth").click()
    assert opened.all(".truth line") and "Crowd index 0." in opened.one("#panel").text
    opened.one("#boxes").click()
    opened.wait(lambda: len(estimator.boxes) == 2)
    assert estimator.boxes[1] is None and opened.errors() == []


def test_two_networks_side_by_side(page, photo, estimator):
    other = FakeEstimator()
    other.order = (2, 1, 0)
    other.gate.set()
    opened = page(compared=other)
    opened.wait(lambda: opened.one("#networks").is_displayed())
    opened.open(photo)
    opened.wait_for_people(3)
    assert not opened.one("#comparison").is_displayed() and not other.batches
    opened.one("#compare").click()
    opened.wait(lambda: opened.one("#comparison").is_displayed())
    opened.wait(lambda: len(opened.all("#comparison .person")) == 3)
    assert [each.text for each in opened.all("figcaption")] == ["nano: 3 people", "plain: 3 people"]
    left, right = (opened.one(name).rect for name in ("#overlay", "#comparison svg"))
    assert left["x"] + left["width"] <= right["x"] and left["width"] == pytest.approx(right["width"], abs=1)
    opened.point(opened.one("#comparison .person:nth-child(2) circle"))

    def highlighted(side):
        return [each.get_attribute("data-person") for each in opened.all(f"{side} .person.highlighted")]

    opened.wait(lambda: highlighted("#comparison") == highlighted("#overlay") == ["1"])
    opened.point(opened.one("#overlay .person:nth-child(1) circle"))
    opened.wait(lambda: (highlighted("#overlay"), highlighted("#comparison")) == (["0"], ["2"]))
    first, same = (opened.one(f"{side} .highlighted").get_attribute("color") for side in ("#overlay", "#comparison"))
    assert first == same != opened.one("#overlay .person:nth-child(2)").get_attribute("color")
    opened.set_slider("people", 0.5)
    assert len(opened.all("#comparison .person")) == len(opened.all("#overlay .person")) == 2
    opened.one("#compare").click()
    opened.wait(lambda: not opened.one("#comparison").is_displayed())
    assert len(other.batches) == 1 and len(estimator.batches) == 3 and opened.errors() == []


def test_a_photo_from_the_camera(page, estimator):
    opened = page()
    opened.one("#camera").click()
    opened.wait(lambda: opened.one("#shoot").is_displayed())
    opened.one("#shoot").click()
    opened.wait_for_people(3)
    assert estimator.batches == [["camera.jpg"]] and opened.errors() == []


def test_a_service_with_a_token_asks_for_it(page, photo):
    opened = page(token="secret")
    opened.wait(lambda: opened.one("#token").is_displayed())
    opened.one("#token").send_keys("secret", Keys.ENTER)
    opened.wait(lambda: not opened.one("#token").is_displayed())
    opened.open(photo)
    opened.wait_for_people(3)


def test_on_a_phone_nothing_is_wider_than_the_screen(page, photo, browser):
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        opened = page()
        opened.open(photo)
        opened.wait_for_people(3)
        opened.one(".person").send_keys(Keys.ENTER)
        opened.one(".keypoints button").click()
        assert browser.execute_script("return document.documentElement.scrollWidth") == 360
        assert opened.one("#frame").rect["width"] > 300
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_api_page(page, browser):
    opened = page()
    browser.get(f"{browser.current_url}api.html")
    opened.wait(lambda: len(opened.all("#operations section")) > 6)
    text = opened.one("main").text
    assert "POST /v1/poses" in text and "curl -F images=@photo.jpg" in text and opened.errors() == []


def test_a_person_is_chosen_anywhere_on_them(opened):
    area = opened.one("[data-area='0']")
    box = opened.browser.execute_script(
        "const {x, y, width, height} = arguments[0].getBoundingClientRect(); return [x, y, width, height]", area
    )
    left, top, width, height = box
    # On the background between an arm and the hip, where no line is.
    found = opened.browser.execute_script(
        "return document.elementFromPoint(arguments[0], arguments[1]).dataset.area",
        left + 0.06 * width, top + 0.05 * height,
    )  # fmt: skip
    assert found == "0"
    ActionChains(opened.browser).move_to_element_with_offset(area, -0.44 * width, -0.45 * height).click().perform()
    opened.wait(lambda: "Person 1 of 3" in opened.one("#panel").text)


def test_an_example_begins_the_page(page):
    opened = page()
    opened.wait(lambda: opened.one("#weights").get_property("length") == 1)
    opened.click(opened.one("#example"))
    opened.wait_for_people(3)
    assert opened.one("#photo").get_attribute("alt") == "crowd_3.png" and opened.errors() == []


def test_no_old_image_stays_after_an_error(opened, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    opened.open(tmp_path / "broken.png")
    opened.wait(lambda: opened.one("#error").is_displayed())
    assert opened.all(".person") == [] or not opened.one("#overlay").is_displayed()
    assert not opened.one("#photo").is_displayed() and opened.one("#hint").is_displayed()
    assert opened.one("#panel").text == "" and not opened.one("#save-json").is_enabled()


def test_the_lines_of_a_chosen_keypoint_are_dotted(opened):
    opened.click(opened.one(".person circle"))
    opened.click(opened.one(".handles circle"))
    opened.wait(lambda: opened.all(".relations line"))
    assert all(line.get_attribute("stroke-dasharray") for line in opened.all(".relations line"))


@pytest.mark.parametrize("compares", [False, True])
def test_on_a_phone_the_photo_is_on_the_first_screen(browser, page, photo, compares):
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened = page(compared=FakeEstimator()) if compares else page()
        opened.wait(lambda: opened.one("#weights").get_property("length") == 1 + compares)
        if compares:
            opened.one("#compare").click()
        opened.open(photo)
        opened.wait_for_people(3)
        browser.execute_script("scrollTo(0, 0)")
        top, bottom = browser.execute_script(
            "const {top, bottom} = document.querySelector('#photo').getBoundingClientRect(); return [top, bottom]"
        )
        assert 0 <= top < bottom <= 800
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
