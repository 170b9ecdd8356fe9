"""The page as text: what is in it, what is escaped, what may run; it is always the same."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from import_graph import ROOT
from written import CORPUS, HOSTILE, KINDS, SCRIPT, WORDS, read_all, write_all

from pipeline.report.artefacts import Inputs
from pipeline.report.page import render_page, script_json
from pipeline.report.view import make_view

ASSETS = ROOT / "pipeline" / "report" / "assets"


class Elements(HTMLParser):
    """Start tags, and the texts of elements by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags:
            self.texts.append((self.tags[-1][0], data))

    def data(self):
        (text,) = [text for tag, text in self.texts if tag == "script" and text[:1] == "{"]
        return json.loads(text)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def page(places):
    return render_page(make_view(read_all(places), texts=True))


@pytest.fixture(scope="module")
def elements(page):
    return Elements(page)


def test_the_page_refers_to_nothing_outside(elements):
    references = {
        value
        for _, attributes in elements.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset", "poster", "data")
    }
    assert all(reference.startswith(("#", "data:,")) for reference in references)
    assert not any("style" in attributes for _, attributes in elements.tags)
    assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)


def test_nothing_may_be_loaded_and_only_our_scripts_may_run(elements):
    policy = next(
        attributes["content"]
        for tag, attributes in elements.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_texts_stay_texts(elements):
    assert [tag for tag, _ in elements.tags].count("script") == 3
    assert not {"img", "b", "i"} & {tag for tag, _ in elements.tags}
    labels = [text for tag, text in elements.texts if tag == "bdi"]
    assert "<b>fire" in labels
    assert any("<i>odd</i>" in text for _, text in elements.texts)
    texts = elements.data()["texts"]["mail"]
    assert texts["r4"] == [f"{HOSTILE} 4"]
    segments = next(
        row["segments"] for row in elements.data()["heads"]["names"]["rows"] if row["id"] == "r6"
    )
    assert segments[1][:3] == [SCRIPT, None, "<b>thing"]
    assert WORDS[0][0] in segments[0][0]


def test_data_cannot_end_its_element():
    value = {"text": "</script><!--<script> & \u2028\u2029"}
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_our_own_files_cannot_end_their_elements():
    for name, end in (("page.css", "</style"), ("page.js", "</script"), ("vega.js", "</script")):
        text = (ASSETS / name).read_text(encoding="utf-8").lower()
        assert end not in text
        assert "<!--" not in text


def test_without_texts_there_is_no_word_of_them(places):
    inputs = read_all(places, texts=False)
    page = render_page(make_view(inputs, texts=False))
    assert not any(corpus.texts for corpus in inputs.corpora)
    for word in ("York", "document.title", "names here", "الجليد", "\\ud83e", "\U0001f9ca"):
        assert word not in page.replace((ASSETS / "vega.js").read_text(encoding="utf-8"), "")
    assert "Texts are left out" in page
    # Whoever has read them all the same gets them no sooner into the page.
    assert render_page(make_view(read_all(places), texts=False)) == page


def test_the_same_inputs_give_the_same_bytes(places, page, tmp_path):
    assert render_page(make_view(read_all(places), texts=True)) == page
    backwards = read_all(places, heads=reversed(list(KINDS)))
    assert render_page(make_view(backwards, texts=True)) == page
    elsewhere = read_all(write_all(tmp_path / "elsewhere"))
    paths = re.compile(r"<dt>[^<]*/([^<]*): MD5</dt>")
    again = render_page(make_view(elsewhere, texts=True))
    assert paths.sub(r"\1", again) == paths.sub(r"\1", page)


def test_the_page_holds_the_digests_that_its_numbers_come_from(page, places):
    for digest in ("ab12", "cd34"):
        assert f"<code>{digest}</code>" in page
    assert f"{(places.models / 'names/predictions/seed_13.jsonl').as_posix()}: MD5" in page


def test_every_plot_has_its_place(elements):
    places = {
        attributes["data-plot"] for _, attributes in elements.tags if "data-plot" in attributes
    }
    assert places == set(elements.data()["plots"])
    assert {"overview", "head-stars-scatter", "head-topic-calibration"} <= places
    assert {"head-names-layers", "study-widths-0", "study-widths-1", "corpus-mail-0"} <= places


def test_examples_are_capped_and_the_page_says_so(tmp_path):
    heads = ("topic", "names")
    places = write_all(tmp_path, heads, rows=3600)
    page = render_page(make_view(read_all(places, heads=heads), texts=True))
    data = Elements(page).data()
    assert {len(head["rows"]) for head in data["heads"].values()} == {1000}
    assert page.count("The page holds 1000 of 2400 rows of dev and test") == 2
    assert len(page) - (ASSETS / "vega.js").stat().st_size < 1.5e6


def test_a_project_without_heads_has_a_page():
    page = render_page(make_view(Inputs(), texts=True))
    assert "There is no head yet" in page


def test_heads_share_the_texts_of_their_corpus(elements):
    assert set(elements.data()["texts"]) == {"mail"}  # sentences with tags are in their segments
    assert {head["corpus"] for head in elements.data()["heads"].values()} == set(CORPUS.values())
