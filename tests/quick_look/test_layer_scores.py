"""Probes of every layer, and what they propose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from looked import encoded, pairs_corpus, words_corpus
from pipelines import LABELS

from pipeline.core.errors import TrainingError
from pipeline.quick_look import layer_scores as scoring
from pipeline.quick_look.encoded_sample import EncodedSample
from pipeline.quick_look.layer_scores import (
    LabelScores,
    LayerScore,
    layer_scores,
    proposed_layers,
    proposed_pairs,
    read_dataset,
)


def scores_of(found: EncodedSample, label: str, usual: Sequence[int] = (1, 2, 3)) -> LabelScores:
    dataset = read_dataset(found, label)
    rows = list(layer_scores(found, dataset, usual=usual))
    return LabelScores(label, dataset.label_type.probe_metric, len(usual), rows)


def test_pairs_apart_are_made_of_each_text_by_itself(tiny_encoder: Path, tmp_path: Path) -> None:
    with encoded(pairs_corpus(40), tmp_path, tiny_encoder) as found:
        assert found.apart is not None
        split = read_dataset(found, "same").splits["train"]
        rows = scoring._PairsApart(found, found.apart)(2, split)
        vectors = np.concatenate(list(rows.map(lambda block, _: block.values.numpy())))  # type: ignore[attr-defined]
        for row_id, vector in zip(split.ids, vectors, strict=True):
            place = found.sample.ids.index(row_id)
            u, v = (found.apart.states(f"{place}_{side}", layer=2).mean(0) for side in (1, 2))
            cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
            expected = np.concatenate([u, v, abs(u - v), u * v, [cosine]])
            assert vector == pytest.approx(expected, abs=1e-5)


def test_every_layer_is_probed_for_labels_of_every_kind(tiny_encoder: Path, tmp_path: Path) -> None:
    with encoded(words_corpus(), tmp_path, tiny_encoder) as found:
        for label in (*LABELS.values(), "pos"):
            scores = scores_of(found, label)
            layers = [row.layers for row in scores.scores]
            assert layers[:4] == [(0,), (1,), (2,), (3,)]
            assert layers[4] == (1, 2, 3)
            assert {row.pairs for row in scores.scores} == {None}
            assert scores.several in layers[4:]
            assert scores.best.score == max(row.score for row in scores.scores)
        # Beasts follow from the word alone, which embeddings tell and nothing adds to.
        tags = scores_of(found, "tags")
        assert tags.metric == "entity_f1"
        assert tags.scores[0].score > 0.95


def test_the_best_layers_are_read_side_by_side_too(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with encoded(words_corpus(), tmp_path, tiny_encoder) as found:
        rows = scores_of(found, "size", (1, 3)).scores
        singles = {row.layers[0]: row.score for row in rows if len(row.layers) == 1}
        best = tuple(sorted(sorted(singles, key=lambda layer: -singles[layer])[:2]))
        assert {row.layers for row in rows[4:]} == {(1, 3), best}
        monkeypatch.setattr(scoring, "_WIDEST", 2 * found.whole.width - 1)
        assert len(scores_of(found, "size", (1, 3)).scores) == 4


def test_pairs_are_probed_together_and_apart(tiny_encoder: Path, tmp_path: Path) -> None:
    with encoded(pairs_corpus(), tmp_path, tiny_encoder) as found:
        scores = scores_of(found, "same")
        assert [row.pairs for row in scores.scores] == ["together", "apart"] * 4
        # Two equal texts have one vector, whatever the encoder.
        apart = [row.score for row in scores.scores if row.pairs == "apart"]
        assert min(apart) > 0.9
        assert scores.several is None
        assert proposed_pairs([scores]) == "apart"
        assert proposed_layers([scores]).keys() == {"same"}
        assert len(proposed_layers([scores])["same"]) == 3


@pytest.mark.parametrize(
    ("margins", "expected"), [((0.1, -0.05), "apart"), ((-0.1, 0.05), "together"), ((), None)]
)
def test_pairs_are_proposed_by_the_mean_over_labels(
    margins: tuple[float, ...], expected: str | None
) -> None:
    labels = [
        LabelScores(
            str(number),
            "accuracy",
            3,
            [LayerScore((0,), 0.5, "together"), LayerScore((1,), 0.5 + margin, "apart")],
        )
        for number, margin in enumerate(margins)
    ]
    assert proposed_pairs(labels) == expected
    assert proposed_pairs([LabelScores("x", "accuracy", 3, [LayerScore((0,), 0.5)])]) is None


def test_one_label_keeps_the_layers_that_were_best_side_by_side() -> None:
    singles = [LayerScore((layer,), layer / 10) for layer in range(7)]
    sets = [LayerScore((2, 3, 4, 6), 0.8), LayerScore((3, 4, 5, 6), 0.7)]
    assert proposed_layers([LabelScores("x", "accuracy", 4, [*singles, *sets])]) == {
        "x": [2, 3, 4, 6]
    }


def test_several_labels_keep_the_layers_that_are_nearest_to_the_best_of_each() -> None:
    first = [0.1, 0.2, 0.5, 0.9, 0.8, 0.7, 0.6]
    second = [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1]
    labels = [
        LabelScores(
            str(number),
            "accuracy",
            4 - number,
            [LayerScore((layer,), score) for layer, score in enumerate(scores)]
            + [LayerScore((0, 6), 1.0)],
        )
        for number, scores in enumerate((first, second))
    ]
    assert proposed_layers(labels) == {"0": [2, 3, 4, 5], "1": [3, 4, 5]}


def test_a_label_with_one_value_cannot_be_learnt(tiny_encoder: Path, tmp_path: Path) -> None:
    with encoded(words_corpus(60), tmp_path, tiny_encoder) as found:
        found.sample.labels["kind"][:] = ["other"] * len(found.sample.texts)
        with pytest.raises(TrainingError, match="one label only"):
            read_dataset(found, "kind")
