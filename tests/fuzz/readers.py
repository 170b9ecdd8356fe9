"""The readers of files from outside: what each reads, and the command that has it read."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from random import Random
from subprocess import CalledProcessError
from typing import Any
from unittest.mock import patch

import click
from execution import Case, Change, Guard, Outcome, Run, Workspace, command_of, execute
from mutations import MUTATIONS, NAMES
from world import EXTRACTED, HEADS, evaluated, git, has_parquet, inside, probed, trained

CASES = Path(__file__).resolve().parent / "cases"
Files = dict[str, Change]
Finish = Callable[[Workspace, Files], None]
"""Makes digests right again that a change of files made wrong: whoever forges a file can, too."""


@dataclass(frozen=True)
class Choice:
    """One way to have files read.

    Attributes:
        runs: commands, one after another until one refuses.
        files: files, or folders of files, of which some are made wrong.
        finish: see ``Finish``.
        writes: beginnings of paths that it writes where it accepts.
        always_writes: and where it does not.
        extra: files that may be there and are not.
        follows: whether a link may lead out of the project, as those into DVC's cache do.
        processes: programs that it may start.
        prints_data: whether it prints for programs.
    """

    runs: Callable[[], Sequence[Run]]
    files: tuple[str, ...]
    finish: Finish | None = None
    writes: tuple[str, ...] = ()
    always_writes: tuple[str, ...] = ()
    extra: Mapping[str, bytes] = field(default_factory=dict)
    follows: bool = True
    processes: tuple[str, ...] = ()
    prints_data: bool = False


@dataclass(frozen=True)
class Reader:
    """A reader: its choices, the files that they need, and the modules that do the reading."""

    name: str
    needs: tuple[str, ...]
    choices: Mapping[str, Choice]
    modules: tuple[str, ...]
    slow: bool = False


def run_case(reader: Reader, workspace: Workspace, case: Case, guard: Guard) -> Outcome:
    """Runs a case of a reader in its workspace."""
    choice = reader.choices[case.choice]
    with inside(workspace.live):
        return execute(
            choice.runs(),
            workspace,
            case,
            guard,
            may_change=choice.writes,
            may_always_change=choice.always_writes,
            processes=choice.processes,
            prints_data=choice.prints_data,
        )


_LARGEST_FILE = 1 << 26
"""Bytes of a file, more than any reader takes: of what grows when it is changed again and again,
git alone would need longer than a command may."""


def draw_case(
    reader: Reader, workspace: Workspace, random: Random, seeds: Sequence[Case] = ()
) -> Case:
    """A case: one to three files of a right project, or of an earlier case, made wrong."""
    name = random.choice(sorted(reader.choices))
    choice = reader.choices[name]
    candidates = [path for under in choice.files for path in workspace.files(under)]
    changes: Files = {}
    own = [case for case in seeds if case.choice == name]
    if own and random.random() < 0.15:
        changes = dict(random.choice(own).changes)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        path = random.choice(candidates)
        if choice.extra and random.random() < 0.2:
            path = random.choice(sorted(choice.extra))
            changes.setdefault(path, Change("file", choice.extra[path]))
            if random.random() < 0.5:
                continue
        if random.random() < 0.06:
            changes[path] = _no_file(choice, random)
        elif random.random() < 0.03 and (place := _renamed(path, random)):
            changes[place] = Change("file", workspace.right(path))
        else:
            before = changes.get(path, Change("file", workspace.right(path)))
            # Not by h5py a second time: files that are wrong already can end a process.
            kind = "bytes" if path in changes and path.endswith(".h5") else kind_of(path)
            data = MUTATIONS[kind](before.data, random)
            changes[path] = Change("file", data[:_LARGEST_FILE])
    if choice.finish is not None and random.random() < 0.9:
        choice.finish(workspace, changes)
    return Case(reader.name, name, changes)


def kept_cases(reader: str) -> dict[str, Case]:
    """Cases that were found, or known, before fuzzing began, by file name."""
    return {
        file.name: Case.from_json(file.read_text(encoding="utf-8"))
        for file in sorted((CASES / reader).glob("*.json"))
    }


def kind_of(path: str) -> str:
    """The kind of mutations that fit a file."""
    suffix = Path(path).suffix
    if suffix in (".sha256", ".txt", ".csv", ".tsv", ".conll", ".conllu", ".py"):
        return "text"
    kinds = {
        ".json": "json",
        ".dir": "json",
        ".jsonl": "jsonl",
        ".journal": "jsonl",
        ".yaml": "yaml",
        ".lock": "yaml",
        ".dvc": "yaml",
        ".h5": "hdf5",
        ".safetensors": "safetensors",
        ".parquet": "bytes",
    }
    if "/files/md5/" in path and not suffix:
        return "json"  # the only objects of the cache that are made wrong are manifests
    return kinds.get(suffix, "json" if Path(path).name == "lock" else "text")


def _no_file(choice: Choice, random: Random) -> Change:
    links = [b"/dev/zero", b"nowhere", b".", b"../../params.yaml"]
    if not choice.follows:
        links = [b"/dev/zero", *[b"../" * depth + b"outside/secret.txt" for depth in range(1, 7)]]
    return random.choice(
        (
            Change("absent"),
            Change("folder"),
            Change("pipe"),
            Change("sparse", b"100000000"),
            Change("link", random.choice(links)),
        )
    )


def _renamed(path: str, random: Random) -> str | None:
    name = random.choice([name for name in NAMES if name.strip("./") and "\0" not in name])
    name = name.replace("/", "-").encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
    return f"{path.rpartition('/')[0]}/{name}{Path(path).suffix}".lstrip("/")


def _command(name: str, *arguments: str) -> Run:
    main = import_module(f"stages.{name}").main
    if name == "store":
        return Run(main.commands[arguments[0]], arguments[1:])
    return Run(main, arguments)


def _stage(name: str, *arguments: str) -> Callable[[], Sequence[Run]]:
    return lambda: [_command(name, *arguments)]


def _call(function: Callable[[], object]) -> Callable[[], Sequence[Run]]:
    return lambda: [Run(command_of(function))]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _bytes(workspace: Workspace, changes: Files, path: str) -> bytes:
    change = changes.get(path)
    return workspace.right(path) if change is None else change.data


def _tree(workspace: Workspace, changes: Files, path: str) -> Any:
    """A JSON file as it is now; ``None`` if it is not JSON, or no longer a file."""
    if path in changes and changes[path].kind != "file":
        return None
    try:
        return json.loads(_bytes(workspace, changes, path))
    except (ValueError, RecursionError):
        return None


# Corpora

WRITES = ("made/",)
PYTHON = (Path(sys.executable).name,)
"""What pyarrow is tried in: it can end its process."""


def _prepared(row: str) -> Sequence[Run]:
    arguments = ("--texts", "made/text", "--labels", "made/labels", "--report", "made/report.json")
    return [_command("prepare", row, *arguments), Run(command_of(_read_back), follows=True)]


def _read_back() -> None:
    """What was accepted can be read by the stages that come next."""
    from pipeline.corpus.storage import read_labels, read_texts

    texts = list(read_texts(Path("made/text")))
    kinds = json.loads(Path("made/labels/labels.json").read_text(encoding="utf-8"))["kinds"]
    for label in kinds:
        if read_labels("made/labels", label).ids != [row for row, _ in texts]:
            raise AssertionError(f"other ids in texts than in labels of {label}")


def _corpus(name: str, files: str, *modules: str, rows: Mapping[str, str] | None = None) -> Reader:
    choices = {
        row: Choice(
            partial(_prepared, row),
            (place,),
            writes=WRITES,
            processes=PYTHON if name == "parquet" else (),
            follows=name != "folder",
            extra={
                "folder": {
                    "data/raw/classes/cold/.hidden.txt": b"hidden\n",
                    "data/raw/classes/.hidden/a.txt": b"hidden\n",
                    "data/raw/classes/cold/deep/er/b.txt": b"deep\n",
                    "data/raw/classes/stray.txt": b"stray\n",
                }
            }.get(name, {}),
        )
        for row, place in {name: files, **(rows or {})}.items()
    }
    shared = ("formats", "lines", "sources", "validation", "values", "scan", "splits", "writer")
    return Reader(
        name,
        ("params.yaml", "data/raw"),
        choices,
        tuple(f"pipeline/ingest/{module}.py" for module in (*modules, *shared)),
    )


def _init(*arguments: str) -> Callable[[], Sequence[Run]]:
    return lambda: [
        _command("init", *arguments, "--no-add", "--no-ask", "--name", "fresh"),
        replace(_command("check"), follows=True),
    ]


_RAW = ("c.jsonl", "pairs.csv", "pairs.tsv", "few.conll", "few.conllu", "lines", "splits")
INIT = {
    path: Choice(
        _init(f"data/raw/{path}"),
        (f"data/raw/{path}",),
        writes=("params.yaml",),
        processes=PYTHON if path.endswith("parquet") else (),
    )
    for path in (*_RAW, "classes", *(("pairs.parquet",) if has_parquet() else ()))
}


# Prepared corpora, and what is made of them

_TABLES = ("params.yaml", "data/text", "data/labels", "data/features/f")
PREPARED = {
    f"{stage}-{head}": Choice(
        _stage(stage, head, *arguments(head, "made/")),
        ("data/text", "data/labels"),
        writes=(*WRITES, ".features/"),
        always_writes=(".features/",),
    )
    for head in HEADS
    for stage, arguments in (("evaluate", evaluated), ("train", trained), ("probe", probed))
} | {
    "extract": Choice(
        _stage("extract", "f", *EXTRACTED[:4], "--out", "made/f", "--report", "made/f.json"),
        ("data/text",),
        writes=(*WRITES, ".features/"),
        always_writes=(".features/",),
    )
}


# Features


def _read_features(folder: str) -> None:
    """Reads all that there is of a features row, as training and notebooks do."""
    from pipeline.features import layout
    from pipeline.features.reader import open_features

    features = open_features(folder)
    features.verify()
    ids = list(features)
    features.are_of(ids)
    for layer in features.layers:
        for states in features.layer_shards(layer):
            states.tobytes()
        for example in (ids[0], ids[-1]) if ids else ():
            features.states(example, layer=layer)
            features.tokens(example)
    for name in layout.PER_TOKEN:
        features.per_token(name)
    for name in (layout.ROW_KEYS, layout.ROW_FULL_LENGTH, layout.ROW_WORDS):
        features.per_row(name)


def sign_features(folder: str, workspace: Workspace, changes: Files) -> None:
    """Digests of changed files into the manifest, and the manifest's own."""
    path = f"{folder}/manifest.json"
    manifest = _tree(workspace, changes, path)
    if not isinstance(manifest, dict):
        return
    digests = {name: _sha256(change.data) for name, change in changes.items()}
    if (digest := digests.get(f"{folder}/features.h5")) and manifest.get("entrance_sha256"):
        manifest["entrance_sha256"] = digest
    shards = manifest.get("shards")
    for shard in shards if isinstance(shards, list) else ():
        files = shard.get("files") if isinstance(shard, dict) else None
        for name in list(files) if isinstance(files, dict) else ():
            if digest := digests.get(f"{folder}/shards/{shard.get('name')}/{name}"):
                files[name] = digest
    manifest.pop("manifest_sha256", None)
    try:
        signature = _sha256(_canonical(manifest))
        data = _canonical({**manifest, "manifest_sha256": signature}) + b"\n"
    except (ValueError, RecursionError):
        return
    if path in changes and _with_specials(changes[path].data):
        return  # what json.dumps does not write would be lost
    changes[path] = Change("file", data)


def _with_specials(data: bytes) -> bool:
    return any(mark in data for mark in (b"NaN", b"Infinity", b"1e999", b"[" * 50))


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _features(folder: str, files: Sequence[str], *, train: bool) -> dict[str, Choice]:
    shared: dict[str, Any] = {
        "finish": partial(sign_features, folder),
        "always_writes": (".features/",),
    }
    own = tuple(f"{folder}/{file}" for file in files)
    name = Path(folder).name
    if train:
        return {
            f"{stage}-{head}": Choice(
                _stage(stage, head, *arguments(head, "made/")), own, writes=WRITES, **shared
            )
            for stage, arguments in (("train", trained), ("probe", probed))
            for head in ("topic", "beasts")
        }
    return {
        "read": Choice(_call(partial(_read_features, folder)), own, **shared),
        "stats": Choice(_stage("store", "stats"), own, **shared),
        "verify": Choice(_stage("store", "verify", name), own, **shared),
        "export": Choice(
            _stage("store", "export", name, "made/out.h5"), own, writes=WRITES, **shared
        ),
    }


_ARCHIVE = "data/features/archive"
_FEATURES = ("pipeline/features/*.py", "pipeline/store/export.py", "pipeline/store/verify.py")


# Heads, and what is reported of them


def sign_scores(workspace: Workspace, changes: Files) -> None:
    """Digests of changed files into the metrics that name what was scored."""
    for head in HEADS:
        path = f"reports/heads/{head}/metrics.json"
        metrics = _tree(workspace, changes, path)
        inputs = metrics.get("inputs") if isinstance(metrics, dict) else None
        if not isinstance(inputs, list):
            continue
        places = {
            "texts": "data/text/c/texts.jsonl",
            "labels": "data/labels/c/labels.jsonl",
            "head": f"models/{head}/head.json",
        }
        changed = False
        for row in inputs:
            if isinstance(row, dict) and "file" in row:
                name = str(row["file"])
                place = places.get(name, f"models/{head}/predictions/{name}")
                if place in changes and changes[place].kind == "file":
                    row["md5"], changed = _md5(changes[place].data), True
        if changed and not (path in changes and _with_specials(changes[path].data)):
            changes[path] = Change("file", json.dumps(metrics).encode())


REPORTED = _stage(
    "report",
    *("--texts", "data/text", "--labels", "data/labels", "--models", "models"),
    *("--reports", "reports", "--studies", "studies", "--out", "made/index.html"),
    *("--params", "report.yaml"),
)


def _predict(head: str, source: str, *arguments: str) -> Callable[[], Sequence[Run]]:
    return _stage("predict", head, source, "--encoder", "data/encoders/tiny", *arguments)


HEAD_CHOICES = {
    **{
        f"evaluate-{head}": Choice(
            _stage("evaluate", head, *evaluated(head, "made/")),
            (f"models/{head}", f"models/linear-probes/{head}"),
            writes=WRITES,
        )
        for head in HEADS
    },
    **{
        f"predict-{head}": Choice(
            _predict(head, "in.txt"),
            (f"models/{head}/head.json", f"models/{head}/head.safetensors"),
            prints_data=True,
        )
        for head in HEADS
    },
    "report": Choice(REPORTED, ("models",), finish=sign_scores, writes=WRITES),
}


# Encoders


def sign_encoder(workspace: Workspace, changes: Files) -> None:
    """Digests of changed files into ``encoder.json``, and its digests into the head's recipe."""
    folder = "data/encoders/tiny"
    path = f"{folder}/encoder.json"
    description = _tree(workspace, changes, path)
    if not isinstance(description, dict):
        return
    changed = False
    for name, change in list(changes.items()):
        file = name.removeprefix(f"{folder}/")
        for role in ("weights", "config", "tokenizer", "code"):
            held = description.get(role)
            if isinstance(held, dict) and file in held and change.kind == "file":
                held[file], changed = _sha256(change.data), True
    if changed and not (path in changes and _with_specials(changes[path].data)):
        changes[path] = Change("file", json.dumps(description).encode())
    head = json.loads(workspace.right("models/topic/head.json"))
    roles = ("weights", "config", "tokenizer", "code")
    head["recipe"]["encoder"] = {role: description[role] for role in roles if role in description}
    changes["models/topic/head.json"] = Change("file", json.dumps(head).encode())


_INDEX = json.dumps(
    {"weight_map": {"embeddings.word_embeddings.weight": "model.safetensors", "x": "evil.py"}}
).encode()
_EVIL = b"raise SystemExit('code of the input ran')\n"


def _more_files(folder: str) -> dict[str, bytes]:
    """Files that an encoder may have."""
    return {
        f"{folder}/model.safetensors.index.json": _INDEX,
        f"{folder}/evil.py": _EVIL,
        f"{folder}/modeling_evil.py": _EVIL,
        f"{folder}/pytorch_model.bin": b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
        f"{folder}/special_tokens_map.json": b'{"cls_token": "[CLS]", "unk_token": {"content": 1}}',
        f"{folder}/added_tokens.json": b'{"[NEW]": 5}',
        f"{folder}/vocab.txt": b"[PAD]\n[UNK]\nthe\n",
        f"{folder}/config.json": json.dumps(
            {
                "model_type": "evil",
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "auto_map": dict.fromkeys(("AutoModel", "AutoConfig"), "evil.Evil"),
            }
        ).encode(),
        f"{folder}/tokenizer_config.json": json.dumps(
            {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
        ).encode(),
    }


ENCODER = {
    "materialise": Choice(
        _stage("encoder", "tiny", "--out", "made/tiny"),
        ("source",),
        writes=WRITES,
        extra=_more_files("source"),
    ),
    "check": Choice(
        _stage("check"), ("source", "data/encoders/tiny/encoder.json"), extra=_more_files("source")
    ),
    "extract": Choice(
        _stage("extract", "f", *EXTRACTED[:4], "--out", "made/f", "--report", "made/f.json"),
        ("data/encoders/tiny",),
        finish=sign_encoder,
        writes=(*WRITES, ".features/"),
        always_writes=(".features/",),
        extra=_more_files("data/encoders/tiny"),
    ),
    "predict": Choice(
        _predict("topic", "in.txt"),
        ("data/encoders/tiny",),
        finish=sign_encoder,
        extra=_more_files("data/encoders/tiny"),
        prints_data=True,
    ),
}


# Texts to predict


@cache
def _predictors() -> dict[str, Any]:
    """The heads that were loaded, by name."""
    return {}


def _with_heads_held(command: click.Command) -> click.Command:
    """A command that loads each head once: here it is texts that are read, thousands of times.

    While it runs, and no longer: the other tests of this process load theirs as users do.
    """
    from pipeline.prediction.predict import Predictor

    original, loaded = Predictor.of_folder, _predictors()

    def of_folder(folder: Path, *arguments: Any, **options: Any) -> Predictor:
        if folder.name not in loaded:
            loaded[folder.name] = original(folder, *arguments, **options)
        predictor: Predictor = loaded[folder.name]
        return predictor

    def invoke(context: click.Context) -> Any:
        with patch.object(Predictor, "of_folder", of_folder):
            return command.invoke(context)

    held = copy(command)
    held.invoke = invoke  # type: ignore[method-assign]
    return held


def _predict_texts(head: str, source: str) -> Sequence[Run]:
    (run,) = _predict(head, source, "--out", "made/out.jsonl")()
    return [replace(run, command=_with_heads_held(run.command))]


PREDICT = {
    f"{head}-{source}": Choice(partial(_predict_texts, head, source), (source,), writes=WRITES)
    for head in HEADS
    for source in ("in.txt", "in.jsonl")
}


# DVC's cache, lineage, the store, and sweeps


def sign_listing(workspace: Workspace, changes: Files) -> None:
    """The names of changed objects of DVC's cache, which are their digests, where they stand."""
    lock = _bytes(workspace, changes, "dvc.lock").decode("utf-8", "replace")
    for path in sorted(changes, key=lambda name: name.endswith(".dir")):
        if "/files/md5/" not in path or changes[path].kind != "file":
            continue
        suffix = ".dir" if path.endswith(".dir") else ""
        before = path.split("/files/md5/")[1].replace("/", "")
        data = changes.pop(path).data
        digest = _md5(data) + suffix
        root = path.split("/files/md5/")[0]
        changes[f"{root}/files/md5/{digest[:2]}/{digest[2:]}"] = Change("file", data)
        if suffix:
            lock = lock.replace(before, digest)
            continue
        for name in workspace.files(".dvc/cache"):  # the listing that names it
            if name.endswith(".dir") and name not in changes:
                listing = workspace.right(name).replace(before.encode(), digest.encode())
                changes[name] = Change("file", listing)
    if lock.encode() != _bytes(workspace, changes, "dvc.lock"):
        changes["dvc.lock"] = Change("file", lock.encode())


def _manifest_in_cache(world: Path) -> tuple[str, ...]:
    """The cache's objects that are made wrong: listing and manifest."""
    cache_folder = world / ".dvc" / "cache"
    manifest = (world / "data/features/f/manifest.json").read_bytes()
    digest = _md5(manifest)
    listings = [path.relative_to(world).as_posix() for path in cache_folder.rglob("*.dir")]
    return (*listings, f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}")


def _lineage(what: str) -> Sequence[Run]:
    def commit() -> None:
        with suppress(CalledProcessError):  # what git does not take, no commit has
            git(Path(), "add", "--all", "dvc.lock", "data/raw/c.jsonl.dvc")
        git(Path(), "commit", "--quiet", "--allow-empty", "--message", "Another")

    return [Run(command_of(commit)), _command("lineage", what)]


def sign_store(workspace: Workspace, changes: Files) -> None:
    """Digests of changed files of the store into the notes beside them."""
    for path in list(changes):
        note = f"{path}.sha256"
        if path.endswith(".h5") and changes[path].kind == "file" and note not in changes:
            text = f"{_sha256(changes[path].data)}  {Path(path).name}\n"
            changes[note] = Change("file", text.encode())


_STORE: dict[str, Any] = {
    "files": (".features",),
    "finish": sign_store,
    "follows": False,
    "writes": (*WRITES, ".features/", "data/features/"),
    "always_writes": (".features/",),
}
STORE = {
    "stats": Choice(_stage("store", "stats"), **_STORE),
    "verify": Choice(_stage("store", "verify"), **_STORE),
    "repair": Choice(_stage("store", "verify", "--repair"), **_STORE),
    "gc": Choice(_stage("store", "gc"), **_STORE),
    "extract": Choice(
        _stage("extract", "f", *EXTRACTED[:4], "--out", "made/f", "--report", "made/f.json"),
        **_STORE,
    ),
}
SWEEPS = {
    "apply": Choice(
        _stage("sweep", "search", "--apply", "0"), ("studies/search",), writes=("params.yaml",)
    ),
    "resume": Choice(
        _stage("sweep", "search"),
        ("studies/search",),
        writes=("studies/", ".features/"),
        always_writes=("studies/search/", ".features/"),
    ),
}


def readers(world: Path) -> dict[str, Reader]:
    """All readers, by name."""
    raw = "data/raw/"
    cached = _manifest_in_cache(world)
    dvc: dict[str, Any] = {
        "files": ("dvc.lock", *cached),
        "finish": sign_listing,
        "writes": (*WRITES, ".features/", "data/features/"),
        "always_writes": (".features/", ".dvc/tmp"),
    }
    made = (
        "params.yaml",
        "report.yaml",
        "data/text",
        "data/labels",
        "models",
        "reports",
        "studies",
    )
    found = [
        _corpus("jsonl", f"{raw}few.jsonl", "jsonl", rows={"jsonl_group": f"{raw}pairs.jsonl"}),
        _corpus("csv", f"{raw}pairs.csv", "delimited", rows={"csv_column": f"{raw}pairs.csv"}),
        _corpus("tsv", f"{raw}pairs.tsv", "delimited"),
        _corpus("conll", f"{raw}few.conll", "conll", rows={"conll_repair": f"{raw}few.conll"}),
        _corpus("conllu", f"{raw}few.conllu", "conllu"),
        _corpus("lines", f"{raw}lines", "parallel", rows={"lines_files": f"{raw}splits"}),
        _corpus("folder", f"{raw}classes", "folders"),
        Reader(
            "init",
            ("params.yaml", "data/raw", "source"),
            INIT,
            ("pipeline/setup/*.py", "stages/init.py"),
        ),
        Reader(
            "params",
            ("params.yaml", "data/raw", "source", "data/encoders"),
            {"check": Choice(_stage("check"), ("params.yaml",))},
            (
                *("pipeline/core/params.py", "pipeline/project/*.py", "pipeline/*/settings.py"),
                *("pipeline/*/*_settings.py", "pipeline/sweeps/space.py"),
                "pipeline/sweeps/validation.py",
            ),
        ),
        Reader(
            "prepared",
            (*made, "data/features/f", "data/encoders", ".features"),
            PREPARED,
            ("pipeline/corpus/*.py", "pipeline/training/data.py", "pipeline/tasks/dataset.py"),
        ),
        Reader(
            "manifest",
            (_ARCHIVE, "params.yaml"),
            _features(_ARCHIVE, ["manifest.json", "features.h5"], train=False),
            _FEATURES,
        ),
        Reader(
            "shards",
            (_ARCHIVE, "params.yaml"),
            _features(_ARCHIVE, ["shards"], train=False),
            _FEATURES,
        ),
        Reader(
            "train",
            _TABLES,
            _features("data/features/f", ["manifest.json", "features.h5", "shards"], train=True),
            (*_FEATURES[:1], "pipeline/training/data.py", "pipeline/tasks/inputs.py"),
        ),
        Reader(
            "heads",
            (*made, "data/encoders", "in.txt"),
            HEAD_CHOICES,
            (
                *("pipeline/heads/checkpoint.py", "pipeline/evaluation/predictions.py"),
                *("pipeline/evaluation/evaluate.py", "pipeline/heads/model.py"),
                "pipeline/report/artefacts.py",
            ),
        ),
        Reader(
            "reports",
            made,
            {
                "results": Choice(_stage("results"), ("reports/heads",)),
                "report": Choice(
                    REPORTED, ("reports", "studies"), finish=sign_scores, writes=WRITES
                ),
            },
            ("pipeline/report/*.py", "pipeline/evaluation/table.py"),
        ),
        Reader(
            "encoder",
            (*_TABLES, "source", "data/raw", "data/encoders", "models/topic", "in.txt"),
            ENCODER,
            (
                *("pipeline/encoder/source.py", "pipeline/encoder/snapshot.py"),
                *("pipeline/encoder/model.py", "pipeline/encoder/tokenise.py"),
                *("pipeline/encoder/config.py", "pipeline/encoder/inspection.py"),
                *("pipeline/encoder/weights.py", "pipeline/encoder/roles.py"),
            ),
            slow=True,
        ),
        Reader(
            "predict",
            ("params.yaml", "models", "data/encoders", "in.txt", "in.jsonl"),
            PREDICT,
            ("pipeline/prediction/*.py", "stages/predict.py"),
        ),
        Reader(
            "dvc",
            (*_TABLES, "data/encoders", ".dvc", "dvc.lock"),
            {
                "verify": Choice(_stage("store", "verify"), **dvc),
                "repair": Choice(
                    _stage("store", "verify", "--repair"),
                    **dvc | {"writes": (*dvc["writes"], ".dvc/cache/files/")},
                ),
                "extract": Choice(
                    _stage("extract", "f", *EXTRACTED),
                    **dvc | {"writes": (*dvc["writes"], "reports/")},
                ),
            },
            (
                *("pipeline/store/dvc_cache.py", "pipeline/extraction/import_files.py"),
                "pipeline/extraction/repair.py",
            ),
        ),
        Reader(
            "lineage",
            ("params.yaml", "data/raw", "data/features/f", ".dvc", "dvc.lock", ".git"),
            {
                what: Choice(
                    partial(_lineage, what),
                    ("dvc.lock", "data/raw/c.jsonl.dvc", *cached[:-1]),
                    finish=sign_listing,
                    always_writes=(".git/", ".dvc/tmp"),
                    processes=("git",),
                )
                for what in ("data/features/f", "data/features/f/features.h5", "data/raw/c.jsonl")
            },
            ("pipeline/lineage/*.py",),
            slow=True,
        ),
        Reader(
            "store",
            (*_TABLES, "data/encoders", ".features"),
            STORE,
            ("pipeline/store/*.py", "pipeline/features/hash_cache.py", "pipeline/core/lock.py"),
        ),
        Reader(
            "sweeps",
            (*_TABLES, "studies"),
            SWEEPS,
            ("pipeline/sweeps/results.py", "pipeline/sweeps/study.py", "stages/sweep.py"),
        ),
    ]
    if has_parquet():
        found.insert(9, _corpus("parquet", f"{raw}pairs.parquet", "parquet", "hub_features"))
    return {reader.name: reader for reader in found}
