"""params.yaml with one mistake at a time: one line, exit code 2, the path of the field."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from import_graph import ROOT
from ruamel.yaml import YAML

from stages.check import main

yaml = YAML(typ="safe")
TEXT = (ROOT / "tests" / "params.yaml").read_text(encoding="utf-8")
VALID: dict[str, Any] = yaml.load(TEXT)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Result]:
    """Runs the stage on the given parameters in a project with both raw files."""
    monkeypatch.chdir(tmp_path)
    for corpus in VALID["corpora"].values():
        Path(corpus["path"]).parent.mkdir(parents=True, exist_ok=True)
        Path(corpus["path"]).write_text("data", encoding="utf-8")

    def run(params: Any) -> Result:
        text = params if isinstance(params, str) else None
        if text is None:
            with Path("params.yaml").open("w", encoding="utf-8") as file:
                yaml.dump(params, file)
        else:
            Path("params.yaml").write_text(text, encoding="utf-8")
        return CliRunner().invoke(main, catch_exceptions=False)

    return run


def changed(path: str, value: Any) -> dict[str, Any]:
    """The project's parameters with one value changed, or removed where the value is ``...``."""
    params = copy.deepcopy(VALID)
    node = params
    *parents, last = path.split(".")
    for key in parents:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return params


def test_the_default_parameters_are_valid(check: Callable[[Any], Result]) -> None:
    result = check(VALID)
    assert result.exit_code == 0, result.output
    assert result.output == "params.yaml: valid (encoders 1, corpora 2, features 2, heads 4)\n"


def test_a_head_of_three_lines_is_valid(check: Callable[[Any], Result]) -> None:
    short = {key: TOPIC[key] for key in ("corpus", "features", "label", "task", "layers")}
    entities = {key: ENTITIES[key] for key in short}
    params = changed("heads.news_topic", short)
    params["heads"]["tweet_entities"] = entities
    result = check(params)
    assert result.exit_code == 0, result.output


def test_a_corpus_of_pairs_is_valid(check: Callable[[Any], Result]) -> None:
    result = check(changed("corpora.news.text_b", "summary"))
    assert result.exit_code == 0, result.output


def test_pairs_are_read_apart_where_there_are_pairs(check: Callable[[Any], Result]) -> None:
    params = changed("corpora.news.text_b", "summary")
    params["features"]["news"]["pairs"] = "apart"
    result = check(params)
    assert result.exit_code == 0, result.output
    result = check(changed("features.news.pairs", "apart"))
    assert result.exit_code == 2
    assert "features.news.pairs: corpora.news has no pairs of texts to read apart" in result.stderr


def test_a_corpus_in_three_folds_is_valid(check: Callable[[Any], Result]) -> None:
    result = check(changed("corpora.news.split", {"folds": 3}))
    assert result.exit_code == 0, result.output


NEWS: dict[str, Any] = VALID["features"]["news"]  # max_length: 128


@pytest.mark.parametrize(
    "row",
    [
        {"long_texts": "window", "stride": 0},
        {"long_texts": "window", "stride": 125},
        {"compute_dtype": "bfloat16"},
        {"compute_dtype": "float16"},
    ],
)
def test_windows_and_precisions_are_valid(check: Callable[[Any], Result], row: Any) -> None:
    result = check(changed("features.news", NEWS | row))
    assert result.exit_code == 0, result.output


ENTITIES: dict[str, Any] = VALID["heads"]["tweet_entities"]
TOPIC: dict[str, Any] = VALID["heads"]["news_topic"]


@pytest.mark.parametrize(
    ("kind", "task", "metric"),
    [
        ("class", "sequence_classification", "accuracy"),
        ("classes", "multilabel_classification", "mean_average_precision"),
        ("number", "regression", "rmse"),
    ],
)
def test_a_task_for_each_kind_of_label_of_a_text_is_valid(
    check: Callable[[Any], Result], kind: str, task: str, metric: str
) -> None:
    params = changed("corpora.news.labels", {"topic": "class", "other": kind})
    training = TOPIC["training"] | {"metric": metric, "seeds": [1, 2]}
    params["heads"]["other"] = TOPIC | {"label": "other", "task": task, "training": training}
    result = check(params)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("kind", "scheme", "metric"),
    [
        ("tags", None, "macro_f1"),
        ("iob1", "bio", "entity_f1"),
        ("iob2", "bioes", "word_accuracy"),
        ("bioes", "bio", "entity_f1"),
    ],
)
def test_a_scheme_for_each_kind_of_entity_tags_and_none_for_plain_ones_is_valid(
    check: Callable[[Any], Result], kind: str, scheme: str | None, metric: str
) -> None:
    params = changed("corpora.tweets.labels.entities", kind)
    for head in ("tweet_entities", "tweet_entities_middle"):
        training = ENTITIES["training"] | {"metric": metric}
        params["heads"][head] |= {"scheme": scheme, "crf": True, "training": training}
    result = check(params)
    assert result.exit_code == 0, result.output


def test_what_is_for_the_other_kind_of_task_may_be_written_as_null(
    check: Callable[[Any], Result],
) -> None:
    params = changed("heads.news_topic", TOPIC | {"subwords": None, "scheme": None, "crf": None})
    params["heads"]["tweet_entities"] = ENTITIES | {"pooling": None}
    result = check(params)
    assert result.exit_code == 0, result.output


MISTAKES = [
    ("heads.news_topic.hiden", 1, "heads.news_topic.hiden: unknown key"),
    ("heads.news_topic.recurrent.cel", 1, "recurrent.cel: unknown key; did you mean 'cell'?"),
    ("extras", {}, "extras: unknown section; known are encoders, corpora"),
    ("report", ..., "has no section report; write `report: {texts: true}` into it"),
    ("report.texts", "no", "report.texts: input should be a valid boolean"),
    ("report.text", True, "report.text: unknown key; did you mean 'texts'?"),
    ("heads.news_topic.training.epochs", "ten", "training.epochs: input should be a valid integer"),
    ("heads.news_topic.training.epochs", 2.5, "training.epochs: input should be a valid integer"),
    ("heads.news_topic.training.epochs", True, "training.epochs: input should be a valid integer"),
    ("heads.news_topic.label", ..., "heads.news_topic.label: missing"),
    ("heads.news_topic.training.seeds", [], "training.seeds: tuple should have at least 1 item"),
    ("heads.news_topic.training.seeds", [13, 13], "training: 'seeds' names a seed twice"),
    ("heads.news_topic.training.seeds", [-1], "training.seeds.0: input should be greater than"),
    ("heads.news_topic.training.seed", 13, "training.seed: unknown key; did you mean 'seeds'?"),
    (
        "heads.news_topic.training.schedule",
        "step",
        "schedule: input should be 'constant', 'linear'",
    ),
    ("heads.news_topic.training.warmup", 1, "training.warmup: input should be less than 1"),
    (
        "heads.news_topic.training.class_weights",
        "even",
        "class_weights: input should be 'balanced'",
    ),
    (
        "heads.news_topic.training.metric",
        "entity_f1",
        "heads.news_topic: 'training.metric' of sequence_classification is one of macro_f1, acc",
    ),
    ("heads.news_topic.layers", ..., "heads.news_topic.layers: missing"),
    ("heads.news_topic.combine", "sum", "combine: input should be 'concat' or 'mix', not"),
    ("heads.news_topic.recurrent.locked_dropout", 1, "recurrent.locked_dropout: input"),
    ("heads.news_topic.training.learning_rate", float("nan"), "learning_rate: "),
    ("heads.news_topic.training.batch_size", 0, "batch_size: input should be greater than or"),
    ("heads.news_topic.recurrent.dropout", 1.0, "recurrent.dropout: input should be less than 1"),
    ("heads.news_topic.recurrent", [], "recurrent: "),
    ("heads.news_topic.task", "ranking", "task: must be one of sequence_classification"),
    ("heads.news_topic.task", "regression", "'training.metric' of regression is one of spearman"),
    (
        "heads.news_topic.task",
        "multilabel_classification",
        "heads.news_topic.task: multilabel_classification learns a label of kind 'classes'",
    ),
    ("heads.news_topic.pooling", None, "heads.news_topic: sequence_classification needs 'pooling'"),
    ("heads.news_topic.pooling", "first", "pooling: input should be 'cls', 'last', 'mean', 'max'"),
    ("heads.news_topic.crf", False, "'subwords', 'scheme' and 'crf' are for token_classification"),
    ("heads.tweet_entities.pooling", "cls", "'pooling' must be null for token_classification"),
    ("heads.tweet_entities.subwords", None, "token_classification needs 'subwords' (first, last"),
    (
        "heads.tweet_entities.crf",
        None,
        "token_classification needs 'subwords' (first, last or mean)",
    ),
    (
        "heads.tweet_entities.scheme",
        "iob1",
        "scheme: input should be 'bio', 'bioes' or 'auto'",
    ),
    ("heads.tweet_entities.scheme", None, "'training.metric' entity_f1 needs a 'scheme'"),
    (
        "heads.tweet_entities",
        ENTITIES | {"scheme": None, "training": ENTITIES["training"] | {"metric": "macro_f1"}},
        "heads.tweet_entities.scheme: must be bio or bioes, since 'entities' holds entities",
    ),
    (
        "corpora.tweets.labels.entities",
        "tags",
        "heads.tweet_entities.scheme: must be null, since 'entities' holds no entities",
    ),
    (
        "heads.tweet_entities",
        ENTITIES | {"crf": True, "training": ENTITIES["training"] | {"class_weights": "balanced"}},
        "heads.tweet_entities: 'training.class_weights' must be null with a CRF",
    ),
    ("heads.news_topic.corpus", "new", "heads.news_topic.corpus: there is no corpora.new"),
    ("heads.news_topic.features", "nws", "heads.news_topic.features: there is no features.nws"),
    ("heads.news_topic.features", "tweets", "features.tweets is of corpora.tweets, the head of"),
    ("heads.news_topic.label", "entities", "corpora.news has no label 'entities'; it has: topic"),
    ("heads.tweet_entities.layers", [5], "layer 5 is not kept by features.tweets: to add it"),
    ("heads.tweet_entities.layers", [7], "encoders.minilm has no layer 7; it has 0 (embeddings)"),
    ("heads.tweet_entities.layers", [], "layers: tuple should have at least 1 item"),
    ("features.news.layers", [6, -1], "features.news.layers.1: layer -1 is named twice"),
    ("features.news.layers", [9], "encoders.minilm has no layer 9"),
    ("features.news.encoder", "bert", "features.news.encoder: there is no encoders.bert"),
    ("features.news.storage_dtype", "int8", "storage_dtype: input should be 'float16'"),
    ("features.news.max_length", 2, "max_length: input should be greater than or equal to 4"),
    ("features.news.long_texts", "split", "long_texts: input should be 'window', 'truncate' or"),
    ("features.news.long_texts", "window", "features.news: 'stride' is the number of tokens"),
    ("features.news.stride", 16, "features.news: 'stride' is the number of tokens that neighbour"),
    ("features.news", NEWS | {"long_texts": "error", "stride": 16}, "window needs it, and nothing"),
    (
        "features.news",
        NEWS | {"long_texts": "window", "stride": 126},
        "features.news: windows of 128 tokens, 2 of them special, that share 126 do not move",
    ),
    (
        "features.news",
        NEWS | {"long_texts": "window", "stride": -1},
        "features.news.stride: input should be greater than or equal to 0",
    ),
    (
        "features.news.compute_dtype",
        "float8",
        "features.news.compute_dtype: input should be 'float",
    ),
    ("encoders.minilm.trust_remote_code", "yes", "trust_remote_code: input should be a valid bool"),
    ("encoders.minilm.source", "package:no_such/model", "no installed package has files under"),
    ("encoders.minilm.source", "./nowhere", "no such folder"),
    ("encoders.minilm.source", "bert-base-uncased", "a Hub model needs a commit"),
    ("encoders.minilm.revision", "main", "'revision' is for Hub models"),
    ("corpora.news.path", "data/raw/absent.jsonl", "corpora.news.path: data/raw/absent.jsonl: no"),
    ("corpora.news.format", "xml", "format: input should be 'jsonl'"),
    (
        "corpora.news.split",
        {"folds": 2},
        "heads.news_topic.corpus: corpora.news has 2 folds, a head",
    ),
    ("corpora.news.split.test", 0.3, "split: train, dev and test must add up to 1, not 1.2"),
    ("corpora.news.stratify", "subject", "'stratify' must be null or name a label"),
    ("corpora.news.text", ..., "name either the field of raw 'text' or the field of 'words'"),
    ("corpora.news.text_b", 2, "corpora.news.text_b: input should be a valid string, not 2"),
    ("corpora.news.text_b", "text", "corpora.news: id, text, text_b, words and labels must be"),
    ("corpora.news.text_b", "topic", "corpora.news: id, text, text_b, words and labels must be"),
    ("corpora.news.textb", "other", "corpora.news.textb: unknown key; did you mean 'text_b'?"),
    ("corpora.tweets.text_b", "words", "corpora.tweets: 'text_b' is the second text of a pair: it"),
    ("corpora.tweets.columns", ["words"], "'columns' does not name entities"),
    ("corpora.News", VALID["corpora"]["news"], "corpora.News: a row's name is lower-case"),
    (
        "heads.news_topic.layers",
        [6, -1],
        "heads.news_topic.layers.1: layer -1 is named twice (it is layer 6)",
    ),
    ("heads", [], "heads: must be a mapping of rows"),
    ("heads", ..., "heads: must be a mapping of rows"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_the_field(
    check: Callable[[Any], Result], path: str, value: Any, message: str
) -> None:
    result = check(changed(path, value))
    assert result.exit_code == 2
    assert result.output.startswith("error: params.yaml:")
    assert message in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heads: {a: 1", "params.yaml:1: not valid YAML"),
        ("heads: {}\nheads: {}\n", "not valid YAML: found duplicate key"),
        ("- a\n- b\n", "must be a mapping of sections"),
        ("", "must be a mapping of sections"),
    ],
)
def test_a_file_that_is_no_mapping_is_one_line(
    check: Callable[[Any], Result], text: str, message: str
) -> None:
    result = check(text)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_numbers_as_dvc_writes_them_are_numbers(check: Callable[[Any], Result]) -> None:
    changed_text = TEXT.replace("learning_rate: 0.001", "learning_rate: 1e-05")
    assert changed_text != TEXT
    assert check(changed_text).exit_code == 0


def test_a_layer_to_add_comes_with_disk_and_time(
    check: Callable[[Any], Result],
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines import extracted, prepared

    features = extracted(prepared(tmp_path), tiny_encoder, store=tmp_path / ".features")
    (tmp_path / "data" / "features").mkdir(parents=True)
    features.rename(tmp_path / "data" / "features" / "tweets")
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / ".features"))
    result = check(changed("heads.tweet_entities.layers", [5]))
    assert re.search(r"MB of disk and \d+ s of encoding", result.output)


def test_a_source_folder_that_changed_is_told(
    check: Callable[[Any], Result], tiny_bert: Path, tmp_path: Path
) -> None:
    import shutil

    from pipeline.encoder.settings import EncoderSettings
    from pipeline.encoder.snapshot import materialise

    source = tmp_path / "model"
    shutil.copytree(tiny_bert, source)
    settings = EncoderSettings(source="./model", revision=None)
    materialise(settings, tmp_path / "data" / "encoders" / "ours")
    params = changed("encoders.ours", {"source": "./model", "revision": None})
    assert "warning" not in check(params).output
    config = source / "config.json"
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    result = check(params)
    assert result.exit_code == 0
    assert "warning: encoders.ours: config.json in ./model is no longer what was" in result.output
