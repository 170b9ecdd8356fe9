"""A user's file comes into the project: its rows in params.yaml pass the check, and prepare."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import random_sentences, write_tiny_bert
from import_graph import ROOT
from ruamel.yaml import YAML

from pipeline.setup.params_editing import set_values
from stages.check import main as check
from stages.init import main
from stages.prepare import main as prepare

TABLE = "uid,part,score,topic,body\n" + "".join(
    f"r{n},{('train', 'valid', 'test')[n % 3]},{n / 7:.2f},{'xy'[n % 2]},some text {n}\n"
    for n in range(60)
)
CONLL = "".join(f"ice{n} B-x\nage I-x\nnow O\n\n" for n in range(30))

Init = Callable[..., Result]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Runs the stage in a project with the default parameters and no DVC."""
    project = tmp_path / "project"
    (project / "data" / "raw").mkdir(parents=True)
    for name in ("news.jsonl", "tweets.conll"):
        (project / "data" / "raw" / name).touch()
    shutil.copy(ROOT / "tests" / "params.yaml", project)
    monkeypatch.chdir(project)

    def run(*arguments: str, answers: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=answers, catch_exceptions=False)

    return run


def rows(name: str) -> Any:
    params = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))
    return {table: section.get(name) for table, section in params.items()}


def use_encoder(row: dict[str, str | None]) -> None:
    """Gives the parameters another encoder, under the name that they have."""
    set_values(Path("params.yaml"), ("encoders", "minilm"), row)


def assert_works(name: str) -> None:
    """The file of parameters is valid, and the corpus can be prepared."""
    result = CliRunner().invoke(check, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    folders = ("--texts", "data/text", "--labels", "data/labels", "--report", "report.json")
    result = CliRunner().invoke(prepare, [name, *folders], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_a_table_is_taken_in_with_its_guesses_printed(init: Init, tmp_path: Path) -> None:
    (tmp_path / "My Data.csv").write_text(TABLE, encoding="utf-8")
    before = Path("params.yaml").read_text(encoding="utf-8")
    result = init(str(tmp_path / "My Data.csv"))
    assert result.exit_code == 0, result.output
    assert Path("data/raw/My Data.csv").read_text(encoding="utf-8") == TABLE
    assert rows("my_data")["corpora"] == {
        "path": "data/raw/My Data.csv",
        "format": "csv",
        "id": "uid",
        "text": "body",
        "labels": {"score": "number", "topic": "class"},
        "split": {
            "column": "part",
            "names": {"test": "test", "train": "train", "valid": "dev"},
        },
    }
    assert rows("my_data_topic")["heads"]["task"] == "sequence_classification"
    for line in (
        "name of the corpus: my_data",
        "field of text: body",
        "labels and their kinds: {score: number, topic: class}",
        "to track it: dvc add 'data/raw/My Data.csv'",
        "next: make repro",
    ):
        assert line in result.output
    lines = iter(Path("params.yaml").read_text(encoding="utf-8").splitlines())
    assert all(line in lines for line in before.splitlines())
    assert_works("my_data")


def test_flags_say_what_would_be_guessed(init: Init) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    flags = {
        "name": "mine",
        "text": "body",
        "labels": "{topic: class}",
        "split": "{train: 0.5, dev: 0.25, test: 0.25}",
        "encoder": "minilm",
    }
    result = init(
        "data/raw/x.csv", "--no-add", *(a for k, v in flags.items() for a in (f"--{k}", v))
    )
    assert result.exit_code == 0, result.output
    row = rows("mine")["corpora"]
    assert row["labels"] == {"topic": "class"}
    assert row["split"] == {"train": 0.5, "dev": 0.25, "test": 0.25}
    assert (row["stratify"], row["seed"]) == ("topic", 13)
    assert_works("mine")


def test_questions_have_the_guesses_as_answers(init: Init) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    result = init("data/raw/x.csv", "--ask", answers="mine\n\n{topic: class}\n\nn\n")
    assert result.exit_code == 0, result.output
    assert "try all layers of the encoder on some of its rows" in result.output
    assert "field of text [body]" in result.output
    assert rows("mine")["corpora"]["text"] == "body"
    assert rows("mine")["corpora"]["labels"] == {"topic": "class"}
    assert_works("mine")


def test_tagged_words_in_a_file_per_split_are_taken_in(init: Init, tmp_path: Path) -> None:
    for number, name in enumerate(("train.conll", "test.conll")):
        (tmp_path / "tagged").mkdir(exist_ok=True)
        content = CONLL.replace("ice", f"ice{number}")
        (tmp_path / "tagged" / name).write_text(content, encoding="utf-8")
    result = init(str(tmp_path / "tagged"))
    assert result.exit_code == 0, result.output
    row = rows("tagged")["corpora"]
    assert row["path"] == "data/raw/tagged"
    assert row["columns"] == ["words", "entities"]
    assert row["labels"] == {"entities": "iob2"}
    assert row["split"] == {"files": {"train": "train.conll", "test": "test.conll"}, "dev": 0.1}
    assert rows("tagged_entities")["heads"]["task"] == "token_classification"
    assert_works("tagged")


def test_parallel_lines_have_two_heads(init: Init) -> None:
    for split in ("train", "valid", "test"):
        folder = Path("data/raw/slots") / split
        folder.mkdir(parents=True)
        numbers = range(30)
        texts = {
            "seq.in": [f"play song {split} {n}" for n in numbers],
            "seq.out": ["O O B-name I-name" for _ in numbers],
            "label": ["xy"[n % 2] for n in numbers],
        }
        for name, lines in texts.items():
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = init("data/raw/slots")
    assert result.exit_code == 0, result.output
    row = rows("slots")["corpora"]
    assert row["words"] == "seq.in"
    assert row["labels"] == {"label": "class", "seq.out": "iob2"}
    assert rows("slots_seq_out")["heads"]
    assert rows("slots_label")["heads"]
    assert_works("slots")


def test_rows_keep_layers_spread_over_the_encoder_and_heads_read_them(init: Init) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    assert init("data/raw/x.csv").exit_code == 0
    assert rows("x")["features"]["layers"] == [2, 4, 6]
    assert rows("x_topic")["heads"]["layers"] == [2, 4, 6]
    assert rows("x")["features"]["long_texts"] == "truncate"


def test_without_a_quick_look_no_encoder_is_loaded(init: Init, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TABLE, encoding="utf-8")
    code = (
        "import sys; from stages.init import main; "
        f"main([{str(tmp_path / 'x.csv')!r}], standalone_mode=False); "
        "print(*{'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-2:] == ["next: make repro", ""]


def test_layers_are_the_last_ones_where_the_encoder_is_not_here_yet(init: Init) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    use_encoder({"source": "owner/bert", "revision": "0" * 40})
    assert init("data/raw/x.csv").exit_code == 0
    assert rows("x")["features"]["layers"] == [-3, -2, -1]
    assert rows("x_topic")["heads"]["layers"] == [-3, -2, -1]
    assert CliRunner().invoke(check).exit_code == 0


def test_an_encoder_that_is_not_there_is_left_to_check(init: Init) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    use_encoder({"source": "./absent", "revision": None})
    assert init("data/raw/x.csv").exit_code == 0
    assert rows("x")["features"]["layers"] == [-3, -2, -1]
    assert "no such folder" in CliRunner().invoke(check).output


def test_long_texts_are_read_whole(init: Init) -> None:
    lines = [json.dumps({"text": f"text {n} " * 100, "topic": "xy"[n % 2]}) for n in range(60)]
    Path("data/raw/x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert init("data/raw/x.jsonl").exit_code == 0
    assert rows("x")["features"]["long_texts"] == "window"
    assert rows("x_topic")["heads"]["pooling"] != "cls"
    assert_works("x")


@pytest.fixture
def tiny(init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Runs the stage with a tiny encoder, and a store of its own."""
    bert = write_tiny_bert(
        tmp_path / "bert", max_position_embeddings=160, num_hidden_layers=6
    )  # the other rows read layer 4
    use_encoder({"source": str(bert), "revision": None})
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / "store"))
    return init


def test_a_quick_look_finds_the_layers_before_anything_is_written(
    tiny: Init, tmp_path: Path
) -> None:
    conll = "".join(
        f"{word} {'B-x' if word == 'wolf' else 'O'}\n{'' if n % 5 else chr(10)}"
        for n, word in enumerate(word for words in random_sentences(80) for word in words)
    )
    (tmp_path / "x.conll").write_text(conll, encoding="utf-8")
    result = tiny(str(tmp_path / "x.conll"), "--quick")
    assert result.exit_code == 0, result.output
    assert "entities: entity_f1 on dev, linear probes" in result.output
    kept = rows("x")["features"]["layers"]
    assert kept == rows("x_entities")["heads"]["layers"]
    assert f"kept: layers {', '.join(map(str, kept))}\n" in result.output
    assert len(kept) == 4
    assert Path("data/encoders/minilm/encoder.json").is_file()
    assert_works("x")


def test_a_problem_that_a_quick_look_finds_ends_it(tiny: Init, tmp_path: Path) -> None:
    rows_ = [json.dumps({"text": f"some text {n}", "topic": "xy"[n % 2]}) for n in range(600)]
    (tmp_path / "x.jsonl").write_text("\n".join([*rows_, "{}"]), encoding="utf-8")
    before = Path("params.yaml").read_text(encoding="utf-8")
    result = tiny(str(tmp_path / "x.jsonl"), "--quick")
    assert result.exit_code == 2
    assert "x.jsonl:601: " in result.output
    assert Path("params.yaml").read_text(encoding="utf-8") == before
    assert not Path("data/raw/x.jsonl").exists()


def test_how_pairs_are_better_read_is_written(tiny: Init) -> None:
    texts = [" ".join(words) for words in random_sentences(160, longest=12)]
    lines = [
        json.dumps({"text_a": text, "text_b": text if n % 2 else texts[n - 1], "same": "ny"[n % 2]})
        for n, text in enumerate(texts)
    ]
    Path("data/raw/x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = tiny("data/raw/x.jsonl", "--quick")
    assert result.exit_code == 0, result.output
    assert "pairs apart" in result.output
    assert rows("x")["features"]["pairs"] == "apart"


def test_there_is_nothing_to_look_at_for_two_folds(tiny: Init) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    result = tiny("data/raw/x.csv", "--quick", "--split", "{folds: 2}")
    assert result.exit_code == 0, result.output
    assert "no head is added" in result.output
    assert not Path("data/encoders").exists()


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_a_corpus_in_three_folds_or_more_has_heads(init: Init, folds: int) -> None:
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    split = f"{{folds: {folds}}}"
    result = init("data/raw/x.csv", "--split", split, "--labels", "{topic: class}")
    assert result.exit_code == 0, result.output
    refused = "no head is added: heads need 3 folds or more" in result.output
    assert refused == (folds == 2)
    assert (rows("x_topic")["heads"] is None) == (folds == 2)
    assert_works("x")


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (None, (), "data/raw/x.csv: no such file or folder"),
        ("", (), "shows no rows of format csv"),
        ("a,b\n1,2\n3,4\n", ("--labels", "topic"), "labels: must be written like {key: value}"),
        (TABLE, ("--labels", "{topic: clas}"), "the row of corpora: labels.topic: input should be"),
        (TABLE, ("--text", "bodi"), "data/raw/x.csv: 1 problem, above; nothing was written"),
        (TABLE, ("--split", "{train: 1}"), "the row of corpora: split.train: input should be less"),
        (TABLE, ("--encoder", "bert"), "params.yaml: there is no encoders.bert"),
        (TABLE, ("--name", "news"), "corpora.news: there is such a row already"),
        (TABLE, ("--name", "News"), "a row's name is lower-case letters, digits and underscores"),
        ("body\nsome text\nother text\n", (), "no field looks like a label; say --labels"),
    ],
)
def test_what_cannot_be_taken_in_is_said_and_nothing_is_written(
    init: Init, content: str | None, flags: tuple[str, ...], message: str
) -> None:
    if content is not None:
        Path("data/raw/x.csv").write_text(content, encoding="utf-8")
    result = init("data/raw/x.csv", *flags)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert Path("params.yaml").read_text(encoding="utf-8") == (
        ROOT / "tests" / "params.yaml"
    ).read_text(encoding="utf-8")


def test_a_file_that_is_in_the_way_is_not_overwritten(init: Init, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TABLE, encoding="utf-8")
    Path("data/raw/x.csv").write_text("mine", encoding="utf-8")
    result = init(str(tmp_path / "x.csv"))
    assert result.exit_code == 2
    assert "data/raw/x.csv: is there already" in result.output
    assert Path("data/raw/x.csv").read_text(encoding="utf-8") == "mine"


def test_names_that_are_taken_get_a_number(init: Init) -> None:
    Path("data/raw/news.csv").write_text(TABLE, encoding="utf-8")
    assert init("data/raw/news.csv").exit_code == 0
    assert rows("news_2")["corpora"]["path"] == "data/raw/news.csv"


def test_the_file_is_tracked_where_the_project_is_one_of_dvc(
    init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "DVC_NO_ANALYTICS", "1")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    Path("data/raw/x.csv").write_text(TABLE, encoding="utf-8")
    result = init("data/raw/x.csv")
    assert "tracked by DVC: data/raw/x.csv.dvc" in result.output
    assert Path("data/raw/x.csv.dvc").is_file()


@pytest.mark.parametrize("value", ["<script>", "../x", "__proto__", "1e5", "${x}"])
def test_odd_names_of_fields_are_data(init: Init, value: str) -> None:
    lines = [json.dumps({"text": f"some text {n}", value: "xy"[n % 2]}) for n in range(60)]
    Path("data/raw/x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = init("data/raw/x.jsonl")
    assert result.exit_code == 0, result.output
    assert rows("x")["corpora"]["labels"] == {value: "class"}
    assert_works("x")
