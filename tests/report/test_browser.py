"""The page in a browser without a network: what a reader sees and does.

It needs Chromium and its driver (Debian: ``apt-get install chromium chromium-driver``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from import_graph import ROOT
from written import ARABIC, HOSTILE, SCRIPT, read_all, write_all

from pipeline.report.page import render_page
from pipeline.report.view import make_view

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DRIVER = shutil.which("chromedriver") or ""
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--host-resolver-rules=MAP\t*\t~NOTFOUND"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.loopback,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="no Chromium with its driver here: apt-get install chromium chromium-driver",
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split(" "):
        options.add_argument(flag.replace("\t", " "))
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    page = render_page(make_view(read_all(write_all(folder)), texts=True))
    (folder / "index.html").write_text(page, encoding="utf-8", newline="")
    return folder / "index.html"


@pytest.fixture
def page(browser: Any, path: Path) -> Any:
    """A browser that has just opened the page, its logs empty but for that."""
    size(browser, 1280, 900)
    prefer(browser, "light")
    forget(browser)
    browser.get(path.as_uri())
    return browser


def forget(browser: Any) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)


def size(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def run(browser: Any, script: str, *arguments: Any) -> Any:
    return browser.execute_script(script, *arguments)


def wait(browser: Any, script: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30, 0.05).until(lambda driver: run(driver, script))


def draw_all(browser: Any) -> None:
    """Scrolls through the page until every plot is drawn."""
    for place in range(run(browser, "return document.querySelectorAll('.plot').length")):
        run(browser, "document.querySelectorAll('.plot')[arguments[0]].scrollIntoView()", place)
        wait(browser, f"return document.querySelectorAll('.plot')[{place}].querySelector('svg')")


def requests(browser: Any) -> set[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }


def listed(browser: Any, head: str) -> list[str]:
    """Texts of the examples that are shown of a head."""
    return run(
        browser,
        "return [...document.querySelectorAll(arguments[0])].map((item) => item.textContent)",
        f".examples[data-head='{head}'] .rows > li",
    )


def choose(browser: Any, head: str, title: str, value: str) -> None:
    """Sets one of the fields above a head's examples."""
    run(
        browser,
        """const label = [...document.querySelectorAll(arguments[0])]
             .find((found) => found.firstChild.textContent === arguments[1]);
           const field = label.querySelector("select, input");
           field.value = arguments[2];
           field.dispatchEvent(new Event(field.tagName === "INPUT" ? "input" : "change"));""",
        f".examples[data-head='{head}'] label",
        title,
        value,
    )


def test_plots_are_drawn_without_a_word_on_the_console_or_a_request(page: Any, path: Path) -> None:
    draw_all(page)
    drawn = run(
        page,
        """return [...document.querySelectorAll(".plot")].map((place) =>
             place.querySelectorAll(".role-mark path, .role-mark line").length)""",
    )
    assert len(drawn) > 20
    assert all(drawn)
    assert page.get_log("browser") == []
    assert {url for url in requests(page) if not url.startswith("data:")} == {path.as_uri()}


def test_nothing_else_may_run(page: Any) -> None:
    run(
        page,
        """const made = document.createElement("script");
           made.textContent = "document.title = 'broken'";
           document.body.append(made);
           document.body.insertAdjacentHTML("beforeend", "<p onclick='document.title = `broken`'>");
           document.body.lastChild.click();""",
    )
    assert page.title == "Icehouse: report"
    refused = [entry["message"] for entry in page.get_log("browser")]
    assert len(refused) == 2
    assert all("Content Security Policy" in message for message in refused)


def test_markup_in_a_text_stays_text(page: Any) -> None:
    choose(page, "names", "rows", "")
    assert any(SCRIPT in text for text in listed(page, "names"))
    choose(page, "topic", "rows", "")
    assert any(HOSTILE in text for text in listed(page, "topic"))
    assert page.title == "Icehouse: report"
    assert run(page, "return document.querySelectorAll('main :is(script, img, b, i)').length") == 0


def test_a_text_runs_in_its_own_direction(page: Any) -> None:
    choose(page, "topic", "rows", "")
    choose(page, "topic", "find", ARABIC)
    directions = run(
        page,
        """return [...document.querySelectorAll(".examples[data-head='topic'] [dir=auto]")]
             .map((text) => getComputedStyle(text).direction)""",
    )
    assert set(directions) == {"rtl"}


def test_a_table_sorts_by_the_column_that_is_chosen(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    table = "#overview .sortable"

    def column(place: int) -> list[str]:
        return run(
            page,
            "return [...document.querySelector(arguments[0]).tBodies[0].rows]"
            ".map((row) => row.cells[arguments[1]].dataset.sort)",
            table,
            place,
        )

    before = column(0)
    button = page.find_element("css selector", f"{table} th:nth-child(4) button")
    button.send_keys(Keys.ENTER)
    numbers = [float(text) for text in column(3)]
    assert numbers == sorted(numbers, reverse=True)
    header = page.find_element("css selector", f"{table} th:nth-child(4)")
    assert header.get_attribute("aria-sort") == "descending"
    button.click()
    assert [float(text) for text in column(3)] == sorted(numbers)
    page.find_element("css selector", f"{table} th:nth-child(1) button").click()
    assert column(0) == sorted(before)
    assert header.get_attribute("aria-sort") is None


def test_what_is_undefined_is_sorted_last(page: Any) -> None:
    header = "#studies .sortable th:nth-child(3) button"
    for _ in range(2):
        run(page, "document.querySelector(arguments[0]).click()", header)
        cells = run(
            page,
            "return [...document.querySelectorAll('#studies .sortable')[0].tBodies[0].rows]"
            ".map((row) => row.cells[2].dataset.sort)",
        )
        assert cells[-1] == ""


@pytest.mark.parametrize("head", ["topic", "names", "flags", "pos"])
def test_a_cell_of_the_matrix_shows_its_examples(page: Any, head: str) -> None:
    buttons = page.find_elements("css selector", f".matrix[data-head='{head}'] button")
    assert buttons
    data = run(page, "return JSON.parse(document.getElementById('data').textContent)")
    rows = data["heads"][head]["rows"]
    for button in buttons:
        run(page, "arguments[0].click()", button)
        cell = button.get_attribute("data-cell")
        expected = {row["id"] for row in rows if cell in row["cells"]}
        shown = run(
            page,
            "return [...document.querySelectorAll(arguments[0])].map((id) => id.textContent)",
            f".examples[data-head='{head}'] .about code",
        )
        assert set(shown) <= expected
        assert len(shown) == min(10, len(expected)) > 0
        if head == "topic":
            assert len(expected) == int(button.text)
        assert button.get_attribute("aria-pressed") == "true"
        assert run(page, "return document.activeElement.id") == f"head-{head}-examples"
    run(
        page,
        "document.querySelector(arguments[0]).click()",
        f"[data-head='{head}'] .controls button",
    )
    assert button.get_attribute("aria-pressed") == "false"


def test_errors_are_sorted_by_confidence_and_paged(page: Any) -> None:
    def sure() -> list[float]:
        return [
            float(text.split("% sure")[0].rsplit(maxsplit=1)[-1][-4:])
            for text in listed(page, "names")
        ]

    choose(page, "names", "split", "")
    first = sure()
    assert len(first) == 10
    assert first == sorted(first, reverse=True)
    on = page.find_element(
        "css selector", ".examples[data-head='names'] .pages button:nth-child(2)"
    )
    run(page, "arguments[0].click()", on)
    assert max(sure()) <= min(first)
    choose(page, "names", "order", "up")
    assert sure() == sorted(sure())
    choose(page, "names", "find", "nowhere to be found")
    assert listed(page, "names") == ["There are none."]


def test_entities_are_marked_in_the_sentence(page: Any) -> None:
    choose(page, "names", "split", "")
    choose(page, "names", "find", "York")
    marks = run(
        page,
        """const item = document.querySelector(".examples[data-head='names'] .rows li");
           return [...item.querySelectorAll(".seg")]
             .map((mark) => [mark.className, mark.textContent])""",
    )
    assert marks[:2] == [["seg p", f"{SCRIPT}<b>thing"], ["seg r", "New Yorkplace"]]
    assert marks[2][0] == "seg u"


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_the_page_fits_its_window(page: Any, width: int) -> None:
    size(page, width, 800)
    draw_all(page)
    assert run(page, "return document.documentElement.scrollWidth") <= width
    assert page.get_log("browser") == []


def test_dark_and_light_follow_the_system_and_the_reader(page: Any) -> None:
    draw_all(page)
    fill = "document.querySelector('#plot-overview text').getAttribute('fill')"

    def colours() -> tuple[str, str]:
        return (
            run(page, "return getComputedStyle(document.body).backgroundColor"),
            run(page, f"return {fill}"),
        )

    light = colours()
    prefer(page, "dark")
    wait(page, f"return {fill} != '{light[1]}'")
    dark = colours()
    assert dark[0] != light[0]
    button = page.find_element("css selector", "#theme")
    button.click()
    assert button.text == "Theme: light"
    wait(page, f"return {fill} == '{light[1]}'")
    assert colours() == light
    button.click()
    wait(page, f"return {fill} == '{dark[1]}'")
    assert colours() == dark
    button.click()
    assert button.text == "Theme: as the system"
    assert page.get_log("browser") == []


def test_the_plots_of_dvc_are_drawn_offline(
    browser: Any, tmp_path: Path, written_project: Callable[[Path], None]
) -> None:
    written_project(tmp_path)
    command = [sys.executable, "-m", "dvc", "plots", "show"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    forget(browser)
    browser.get((tmp_path / "dvc_plots" / "index.html").as_uri())
    wait(
        browser,
        "return document.querySelectorAll('.vega-embed svg.marks').length == 2",
    )
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests(browser))


@pytest.fixture
def written_project() -> Callable[[Path], None]:
    """A DVC project with the repository's own settings, and two plots."""

    def write(folder: Path) -> None:
        (folder / ".dvc").mkdir()
        for name in ("config", "plots.html"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        (folder / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n", encoding="utf-8")
        (folder / "confusion.csv").write_text("actual,predicted\na,b\nb,b\n", encoding="utf-8")
        (folder / "dvc.yaml").write_text(
            "plots:\n"
            "  - history.csv: {x: epoch, y: loss}\n"
            "  - confusion.csv: {x: actual, y: predicted, template: confusion}\n",
            encoding="utf-8",
        )

    return write
