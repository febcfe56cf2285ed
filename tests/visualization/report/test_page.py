"""The page of a study: whole, safe, readable without its pictures, and true to the front."""

import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.study.journal import Journal, read_journal
from autosearch.study.study import Study
from autosearch.visualization.report import (
    build,
    inline,
    recipes,
    report_html,
    write_report,
)

VOID = {"meta", "img", "br", "hr", "link"}
# Where a page could load something from.
LOADING = ("src", "href", "data", "action", "poster", "srcset")


class Page(HTMLParser):
    """Elements in their order, and the text of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, dict[str, float]] = {}
        self.text = ""
        self._row: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self._row = found.get("id")
        if tag == "data" and self._row and found.get("title"):
            row = self.rows.setdefault(self._row, {})
            row[str(found["title"])] = float(str(found["value"]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(two: Path) -> Page:
    text, missing = report_html(two, samples=50)
    assert missing == []
    return Page(text)


@pytest.fixture(scope="module")
def texts(two: Path, three: Path) -> dict[int, str]:
    """Pages without samples, by the number of objectives."""
    return {n: report_html(d, samples=0)[0] for n, d in ((2, two), (3, three))}


def test_every_element_is_closed(page: Page) -> None:
    assert page.open == []
    assert len(page.all("h1")) == 1
    assert page.all("html")[0]["lang"] == "en"


def test_nothing_is_loaded_and_nothing_runs(texts: dict[int, str], page: Page) -> None:
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in LOADING:
            assert re.match(r"#|data:", attributes.get(name) or "#"), (name, attributes)
    text = texts[2]
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_it_has_both_colour_schemes_and_narrow_pages(page: Page) -> None:
    style = page.text[: page.text.index("autosearch report")]
    assert "prefers-color-scheme: dark" in style
    assert "max-width: 720px" in style
    names = [meta.get("name") for meta in page.all("meta")]
    assert "viewport" in names


def test_every_colour_has_a_value_in_both_schemes() -> None:
    style = (Path(build.__file__).parent / "style.css").read_text(encoding="utf-8")
    light, _, rest = style.partition("@media (prefers-color-scheme: dark)")
    dark = rest[: rest.index("* {")]
    named = re.compile(r"(--[a-z-]+): ")
    assert set(named.findall(light)) == set(named.findall(dark))
    used = set(re.findall(r"var\((--[a-z-]+)\)", style + "".join(inline._VARIABLES.values())))
    assert used - {"--under"} <= set(named.findall(light))


def test_every_picture_has_words(page: Page) -> None:
    images = page.all("img")
    assert images
    assert all(len(str(image.get("alt"))) > 10 for image in images)
    assert all(image["src"].startswith("data:image/png;base64,") for image in images)
    # Those with a place cut off what is inside a picture.
    pictures = [svg for svg in page.all("svg") if "x" not in svg]
    assert pictures
    for svg in pictures:
        assert svg["role"] == "img"
        assert len(str(svg["aria-label"])) > 10
    recipes = [str(svg["aria-label"]) for svg in pictures if svg["class"] == "recipe"]
    assert recipes
    assert all(re.match(r"\d+ steps at times \d", label) for label in recipes)


def test_links_lead_to_places_that_exist(page: Page) -> None:
    places = [str(a["id"]) for _, a in page.elements if a.get("id")]
    assert len(places) == len(set(places))
    targets = {str(a["href"])[1:] for a in page.all("a") if str(a["href"]).startswith("#")}
    assert targets
    assert targets <= set(places)


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_tables_say_what_the_front_says(
    two: Path, three: Path, objectives: int, page: Page, texts: dict[int, str]
) -> None:
    directory = two if objectives == 2 else three
    shown = page if objectives == 2 else Page(texts[3])
    front = Front.of(Study.read(directory))
    table = front.to_dict()
    hidden = {point.id for point in front.folded}
    listed = {entry["id"]: entry for key in ("baselines", "points") for entry in table[key]}
    listed = {number: entry for number, entry in listed.items() if number not in hidden}
    assert len(table["objectives"]) == objectives
    assert set(shown.rows) == {f"point-{number}" for number in listed}
    for number, entry in listed.items():
        row, values = shown.rows[f"point-{number}"], entry["values"]
        for name in [o["name"] for o in table["objectives"] if o["name"] != "nfe"]:
            assert row[f"{name} search"] == values[name]["search"]
            assert row[f"{name} validated"] == values[name]["validated"]
            gap = values[name]["validated"] - values[name]["search"]
            assert row[f"{name} gap"] == pytest.approx(gap)
        assert row["nfe exact"] == values["nfe"]["validated"]


def test_three_objectives_have_a_panel_for_each_pair(texts: dict[int, str]) -> None:
    shown = Page(texts[3])
    charts = [svg for svg in shown.all("svg") if svg.get("class") == "front"]
    # For wide and for narrow pages.
    assert len(charts) == 2
    assert "what looks beaten there is better in another one" in shown.text
    for name in ("fid", "kid", "nfe"):
        assert f"{name}, lower is better" in shown.text or name in shown.text


@pytest.mark.parametrize("objectives", [2, 3])
def test_every_point_says_its_values_in_every_panel(
    two: Path, three: Path, objectives: int, texts: dict[int, str]
) -> None:
    directory = two if objectives == 2 else three
    front = Front.of(Study.read(directory))
    points = {f"point-{p.id}": p for p in front.shown}
    pictures = re.findall(
        r'<div class="on-(?:wide|narrow)">(<svg.*</svg>)</div>', texts[objectives]
    )
    assert len(pictures) == 2
    for picture in pictures:
        marks = [g for g in ElementTree.fromstring(picture).iter("g") if g.get("class")]
        panels = 1 if objectives == 2 else 3
        assert Counter(str(g.get("class")) for g in marks) == dict.fromkeys(points, panels)
        for mark in marks:
            point = points[str(mark.get("class"))]
            said = mark.findtext("title", "")
            assert said.startswith(f"{point.name}, {point.steps} steps: fid ")
            assert all(f"{axis.name} " in said for axis in front.axes)
            assert len(list(mark.iter("use"))) == 1


def test_names_of_users_are_escaped(two: Path, tmp_path: Path) -> None:
    evil = '<img src=x onerror="a()"> & "co" $\\a$'
    header = Study.read(two).header.model_copy(update={"name": evil, "model_name": evil})
    with Journal.create(tmp_path / "evil", header) as journal:
        for record in read_journal(two)[1:]:
            journal.append(record)
    text, _ = report_html(tmp_path / "evil", samples=0)
    assert evil not in text
    assert "onerror" in Page(text).text
    assert not Page(text).all("img")


def test_without_samples_the_model_is_not_needed(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(build, "study_problem", refuse)
    text, missing = report_html(two, samples=0)
    assert missing == []
    assert not Page(text).all("img")
    assert "Recipes" in text


def test_a_model_that_is_gone_is_said_and_the_rest_stands(
    two: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise UserError("model: no such folder; give another path")

    monkeypatch.setattr(build, "study_problem", refuse)
    missing = write_report(two, tmp_path / "sub" / "report.html")
    assert len(missing) == 1
    assert "no such folder" in missing[0]
    text = (tmp_path / "sub" / "report.html").read_text()
    assert "no such folder" in Page(text).text
    assert "The front, cheapest first" in text


def test_a_study_that_has_only_begun(two: Path, tmp_path: Path) -> None:
    for count in (1, 9):
        directory = tmp_path / str(count)
        with Journal.create(directory, Study.read(two).header) as journal:
            for record in read_journal(two)[1:count]:
                journal.append(record)
        shown = Page(report_html(directory, samples=0)[0])
        assert "The search is not finished" in shown.text
    assert "Not validated yet" in shown.text


def test_what_was_picked_is_shown_and_what_is_wrong_refused(two: Path) -> None:
    text, _ = report_html(
        two,
        picks=(
            "nfe<=3",
            "speedup>=1.3",
        ),
        samples=0,
    )
    assert text.count('<span class="why">') >= 3
    assert "picked" in text
    with pytest.raises(UserError, match="did you mean 'knee'"):
        report_html(two, picks=("kne",), samples=0)


def test_a_large_front_is_drawn_as_far_as_the_page_allows(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "_MOST_BYTES", 1)
    shown = Page(report_html(two, samples=0)[0])
    count = sum(p["on_front"] for p in Front.of(Study.read(two)).to_dict()["points"])
    assert len([svg for svg in shown.all("svg") if svg.get("class") == "recipe"]) == 1
    assert f"{count - 1} more recipes of this large front are not drawn" in shown.text


def test_the_same_study_gives_the_same_page(two: Path, texts: dict[int, str]) -> None:
    assert report_html(two, samples=0) == (texts[2], [])


def test_it_does_not_need_a_display(two: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; "
        "from autosearch.visualization.report import write_report; "
        f"write_report(Path({str(two)!r}), Path({str(tmp_path / 'r.html')!r}), samples=0);"
        "import sys; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "r.html").stat().st_size < 1_000_000
