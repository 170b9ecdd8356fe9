"""A sample goes through the store: nothing is computed twice, and nothing is left over."""

from __future__ import annotations

from pathlib import Path

import pytest
from looked import SETTINGS, encoded, pairs_corpus, words_corpus

from pipeline.core.errors import EncoderError
from pipeline.corpus.texts import TextPair
from pipeline.encoder.settings import EncoderSettings
from pipeline.extraction.run import extract
from pipeline.quick_look.encoded_sample import FOLDER, materialised


def test_a_second_look_computes_nothing(
    tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    from looked import encoded as encode

    with encode(words_corpus(60), tmp_path, tiny_encoder) as found:
        rows = len(set(found.sample.texts))
        assert found.whole.layers == (0, 1, 2, 3)
        assert found.depth == 3
    assert sum(encoded) == rows
    with encode(words_corpus(60), tmp_path, tiny_encoder):
        assert sum(encoded) == rows


def test_extraction_takes_over_what_a_look_computed(
    tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    from looked import encoded as encode

    corpus = words_corpus(60)
    with encode(corpus, tmp_path, tiny_encoder) as found:
        sampled = set(found.sample.texts)
    encoded.clear()
    texts = [(example.id, example.text) for example, _ in corpus.rows()]
    extract(
        lambda: iter(texts),
        texts_sha256="0" * 64,
        encoder_folder=tiny_encoder,
        settings=SETTINGS.model_copy(update={"layers": (1, 3)}),
        store_root=tmp_path / "store",
        project=tmp_path,
        out=tmp_path / "features",
    )
    assert sum(encoded) == len({text for _, text in texts} - sampled)


def test_texts_of_pairs_are_rows_of_their_own(
    tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    from looked import encoded as encode

    with encode(pairs_corpus(40), tmp_path, tiny_encoder) as found:
        pairs = [text for text in found.sample.texts if isinstance(text, TextPair)]
    single = {text for pair in pairs for text in (pair.first, pair.second)}
    assert sum(encoded) == len(set(pairs)) + len(single)
    encoded.clear()
    extract(
        lambda: iter([(str(number), text) for number, text in enumerate(sorted(single))]),
        texts_sha256="0" * 64,
        encoder_folder=tiny_encoder,
        settings=SETTINGS,
        store_root=tmp_path / "store",
        project=tmp_path,
        out=tmp_path / "features",
    )
    assert encoded == [], "single texts are in the store by their own key"


def test_nothing_but_rows_is_left_in_the_store(tiny_encoder: Path, tmp_path: Path) -> None:
    with encoded(pairs_corpus(20), tmp_path, tiny_encoder) as found:
        assert found.whole.folder.is_dir()
    assert [path.name for path in (tmp_path / "store" / FOLDER).iterdir()] == ["lock"]
    shards = [path for path in (tmp_path / "store").rglob("layer_*.h5") if path.is_file()]
    assert {path.stat().st_nlink for path in shards} <= {1}


def test_an_encoder_is_materialised_where_it_is_not(tiny_bert: Path, tmp_path: Path) -> None:
    settings = EncoderSettings(source=str(tiny_bert), revision=None)
    folder = materialised(settings, tmp_path / "encoders" / "tiny")
    written = (folder / "encoder.json").stat().st_mtime_ns
    assert materialised(settings, folder) == folder
    assert (folder / "encoder.json").stat().st_mtime_ns == written
    absent = EncoderSettings(source=str(tmp_path / "absent"), revision=None)
    with pytest.raises(EncoderError, match="no such folder"):
        materialised(absent, tmp_path / "other")
