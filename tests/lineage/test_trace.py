"""Which commit a content is found in, and what is said of those that are not found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from repository import Repository, md5

from pipeline.core.errors import LineageError
from pipeline.lineage.content import Content, folder_digest, read_content
from pipeline.lineage.describe import Versions, describe, rebuild_commands
from pipeline.lineage.git import Git
from pipeline.lineage.trace import Lineage, trace
from pipeline.lineage.versions import encoders_of, pinned, torch_of_head
from pipeline.store.dvc_cache import DvcCache

NOTHING = Versions(torch=None, pinned={}, encoders=())


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    """Code, raw data, a text made of it, and a head made of that: all of one commit."""
    repository = Repository(tmp_path)
    repository.write(".dvc/config", "")
    repository.write(".gitignore", "/.dvc/cache\n/models\n/data/text\n")
    repository.write("params.yaml", "heads: {news: {width: 8}}\ncorpora: {news: {seed: 1}}\n")
    repository.write("prepare.py", "prepare")
    repository.write("train.py", "train")
    repository.point("data/raw/news.jsonl", "raw")
    lock(repository, "weights")
    repository.commit("First")
    return repository


def lock(repository: Repository, weights: str, **params: Any) -> None:
    """Lists what the two stages would make of the files as they are."""

    def now(path: str) -> str:
        return md5((repository.folder / path).read_bytes())

    text = md5(b"text of " + (repository.folder / "data/raw/news.jsonl").read_bytes())
    repository.stage(
        "prepare@news",
        deps={"data/raw/news.jsonl": now("data/raw/news.jsonl"), "prepare.py": now("prepare.py")},
        outs={"data/text/news": text},
        params={"corpora.news": {"seed": 1}},
    )
    repository.stage(
        "train@news",
        deps={"data/text/news": text, "train.py": now("train.py")},
        outs={"models/news": head(repository, weights)},
        params={"heads.news": {"width": 8, **params}},
    )


def head(repository: Repository, weights: str) -> str:
    """A folder in DVC's cache, listing included; returns its digest."""
    files = {"head.safetensors": weights, "head.json": json.dumps({"torch": "2.0", "w": weights})}
    digests = {name: md5(text.encode()) for name, text in files.items()}
    digest = folder_digest(digests)
    listing = [{"md5": digests[name], "relpath": name} for name in sorted(digests)]
    for name, data in [
        *((digests[name], text) for name, text in files.items()),
        (digest, json.dumps(listing, sort_keys=True)),
    ]:
        repository.write(f".dvc/cache/files/md5/{name[:2]}/{name[2:]}", data)
    return digest


def find(
    repository: Repository, content: Content, *, name: str = "it", path: str | None = None
) -> Lineage:
    with Git(repository.folder) as git:
        return trace(git, DvcCache(repository.folder), content, name=name, path=path)


def test_an_output_is_found_with_all_that_it_was_made_from(made: Repository) -> None:
    commit = made.git("rev-parse", "HEAD")
    made.git("tag", "v1")
    lineage = find(made, Content(head(made, "weights")))
    assert lineage.commit.sha == commit
    assert (lineage.commit.subject, lineage.commit.author) == ("First", "nobody@example.org")
    assert lineage.names == ("main", "v1")
    assert (lineage.place.path, lineage.place.stage) == ("models/news", "train@news")
    assert [stage.name for stage in lineage.upstream.stages] == ["prepare@news", "train@news"]
    assert [item.path for item in lineage.upstream.raw] == ["data/raw/news.jsonl"]
    assert {item.path for item in lineage.upstream.code} == {"prepare.py", "train.py"}
    assert lineage.differences == ()
    lines = list(describe(lineage, NOTHING))
    assert "made by   stage train@news" in lines
    assert '    heads.news: {"width":8}' in lines
    commands = list(rebuild_commands(lineage, root=made.folder, pull_from=None))
    assert commands[0].startswith("git worktree add --detach ../")
    assert commands[-2:] == ["dvc pull data/raw/news.jsonl.dvc", "dvc repro train@news"]


def test_a_file_of_a_folder_is_found_by_the_cache(made: Repository) -> None:
    lineage = find(made, Content(md5(b"weights")))
    assert lineage.place.path == "models/news/head.safetensors"
    assert lineage.place.stage == "train@news"


def test_a_file_that_a_stage_reads_is_found_without_the_cache(made: Repository) -> None:
    made.stage("evaluate@news", deps={"models/news/head.json": "e" * 32}, outs={"m": "f" * 32})
    made.commit("Evaluated")
    lineage = find(made, Content("e" * 32))
    assert lineage.place.path == "models/news/head.json"
    assert lineage.place.stage == "train@news"


def test_raw_data_is_found_by_its_pointer(made: Repository) -> None:
    lineage = find(made, read_content(made.folder / "data/raw/news.jsonl"))
    assert lineage.place.pointer == "data/raw/news.jsonl.dvc"
    assert lineage.upstream.stages == ()
    assert "made by   nobody here: raw data, data/raw/news.jsonl.dvc" in describe(lineage, NOTHING)
    commands = list(rebuild_commands(lineage, root=made.folder, pull_from=Path("/cache")))
    assert commands[-1] == ("dvc cache dir --local /cache && dvc checkout data/raw/news.jsonl.dvc")


def test_the_newest_and_the_oldest_of_all_branches_are_named(made: Repository) -> None:
    oldest = made.git("rev-parse", "HEAD")
    digest = head(made, "weights")
    made.git("checkout", "--quiet", "-b", "other")
    newest = made.commit("Nothing changed here")
    made.git("checkout", "--quiet", "main")
    lock(made, "heavier", width=9)
    made.commit("Another head")
    lineage = find(made, Content(digest))
    assert (lineage.newest.sha, lineage.oldest.sha, lineage.count) == (newest, oldest, 2)
    assert lineage.commit.sha == newest
    assert lineage.names == ("other",)


def test_a_version_that_a_merge_dropped_is_found(made: Repository) -> None:
    made.git("checkout", "--quiet", "-b", "side")
    lock(made, "dropped")
    side = made.commit("On the side")
    made.git("checkout", "--quiet", "main")
    made.commit("Meanwhile")
    made.git("merge", "--quiet", "--strategy", "ours", "--message", "Ours", "side")
    made.git("branch", "--delete", "side")
    assert find(made, Content(head(made, "dropped"))).commit.sha == side


def test_a_commit_whose_code_has_moved_on_is_passed_over(made: Repository) -> None:
    first = made.git("rev-parse", "HEAD")
    made.write("train.py", "train otherwise")
    newest = made.commit("New code, and nobody ran it")
    lineage = find(made, Content(head(made, "weights")))
    assert (lineage.commit.sha, lineage.newest.sha) == (first, newest)


@pytest.mark.parametrize(
    ("path", "text", "difference"),
    [
        ("train.py", "trains otherwise", "train.py"),
        ("params.yaml", "heads: {news: {width: 9}}\n", "params.yaml: heads.news"),
    ],
)
def test_a_commit_that_is_not_what_its_lock_says_is_warned_of(
    made: Repository, path: str, text: str, difference: str
) -> None:
    made.write(path, text)
    lock_file = (made.folder / "dvc.lock").read_text()
    lock(made, "new", width=8)
    made.write("dvc.lock", lock_file.replace(head(made, "weights"), head(made, "new")))
    made.commit("A lock of before, an output of now")
    lineage = find(made, Content(head(made, "new")))
    assert difference in lineage.differences
    assert any(line.startswith("warning: ") for line in describe(lineage, NOTHING))


def room(made: Repository) -> str:
    """A room of code, and its digest as DVC lists it: also of what is deeper and not ASCII."""
    files = {"a.py": "one = 1\n", "assets/page.css": "b {}\n", "é.py": "two = 2\n"}
    return folder_digest(
        {path: made.write(f"pipeline/report/{path}", text) for path, text in files.items()}
    )


def test_a_room_that_is_as_stages_read_it_is_no_difference(made: Repository) -> None:
    digest = room(made)
    made.write(".gitignore", "__pycache__\n")
    made.write("pipeline/report/__pycache__/a.pyc", "bytes")
    made.stage("report", deps={"pipeline/report": digest}, outs={"reports/index.html": "3" * 32})
    made.commit("A report")
    assert find(made, Content("3" * 32)).differences == ()


def test_what_dvcignore_leaves_out_of_a_room_is_no_difference(made: Repository) -> None:
    """Also where Git has it; patterns count from the project's root, as they do for DVC."""
    digest = room(made)
    made.write(".dvcignore", "# litter\n*.swp\n\n.vscode/\n/pipeline/report/notes.md\n!kept.swp\n")
    for path in (".a.py.swp", ".vscode/settings.json", "notes.md"):
        made.write(f"pipeline/report/{path}", "litter")
    made.stage("report", deps={"pipeline/report": digest}, outs={"reports/index.html": "3" * 32})
    made.commit("A report, and litter")
    assert find(made, Content("3" * 32)).differences == ()

    made.write("pipeline/report/kept.swp", "code")
    made.stage("report", deps={"pipeline/report": digest}, outs={"reports/index.html": "4" * 32})
    made.commit("A file that a pattern takes back")
    assert find(made, Content("4" * 32)).differences == ("pipeline/report",)


def test_code_that_changed_in_a_room_beside_an_old_lock_is_a_difference(made: Repository) -> None:
    made.stage(
        "report", deps={"pipeline/report": room(made)}, outs={"reports/index.html": "3" * 32}
    )
    made.write("pipeline/report/assets/page.css", "b { color: red }\n")
    made.commit("A report, and another style")
    assert find(made, Content("3" * 32)).differences == ("pipeline/report",)


def test_a_room_that_a_commit_lacks_is_a_difference(made: Repository) -> None:
    made.stage(
        "report", deps={"pipeline/gone": "2" * 32 + ".dir"}, outs={"reports/index.html": "3" * 32}
    )
    made.commit("A report of a room that is no more")
    assert find(made, Content("3" * 32)).differences == ("pipeline/gone",)


def test_new_raw_data_beside_an_old_lock_is_a_difference(made: Repository) -> None:
    made.point("data/raw/news.jsonl", "more")
    lock(made, "new")
    for stage in ("prepare@news", "train@news"):
        made.stages[stage]["deps"][0]["md5"] = "0" * 32
    made.stage("other", deps={}, outs={"o": "1" * 32})
    made.commit("Data changed")
    lineage = find(made, Content(head(made, "new")))
    assert lineage.differences == ("data/raw/news.jsonl", "data/text/news")


def test_of_several_places_the_files_own_is_told_first(made: Repository) -> None:
    made.stage("train@twin", deps={}, outs={"models/twin": head(made, "weights")})
    made.commit("Two heads of the same bytes")
    content = Content(head(made, "weights"))
    assert find(made, content, path="models/twin").place.stage == "train@twin"
    assert find(made, content, name="elsewhere/twin/").place.stage == "train@twin"
    lineage = find(made, content, path="models/news")
    assert [place.stage for place in lineage.others] == ["train@twin"]
    assert "also      models/twin, stage train@twin" in describe(lineage, NOTHING)


def test_an_experiment_is_told_by_its_name(made: Repository) -> None:
    before = made.git("rev-parse", "HEAD")
    lock(made, "tried", width=9)
    commit = made.commit("An experiment")
    made.git("reset", "--quiet", "--hard", before)
    made.git("update-ref", f"refs/exps/{before[:2]}/{before[2:]}/gold-fish", commit)
    made.git("update-ref", "refs/exps/stash", before)
    lineage = find(made, Content(head(made, "tried")))
    assert (lineage.experiment, lineage.commit.sha) == ("gold-fish", commit)
    assert any("`dvc exp branch gold-fish <name>`" in line for line in describe(lineage, NOTHING))


def message(repository: Repository, content: Content, *, path: str | None = None) -> str:
    with pytest.raises(LineageError) as error:
        find(repository, content, name="FILE", path=path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_not_committed_is_told_so(made: Repository) -> None:
    lock(made, "fresh")
    assert "train@news made it, and no commit lists it yet" in message(
        made, Content(head(made, "fresh"))
    )
    raw = made.point("data/raw/tweets.conll", "tweets")
    assert "`dvc add` tracks it, and no commit lists it yet" in message(made, Content(raw))


def test_a_changed_output_is_told_from_an_unknown_file(made: Repository) -> None:
    content = Content("1" * 32)
    assert "`dvc checkout --force models/news` brings it back" in message(
        made, content, path="models/news/head.safetensors"
    )
    assert "`dvc checkout --force data/raw/news.jsonl` brings back" in message(
        made, content, path="data/raw/news.jsonl"
    )
    assert "Git tracks this, and DVC does not" in message(made, content, path="train.py")
    unknown = message(made, content, path="notes.txt")
    assert "no branch, tag or experiment lists " + "1" * 32 in unknown
    assert "(searched 2 versions" in unknown


def test_code_is_no_output_although_stages_read_it(made: Repository) -> None:
    assert "no branch" in message(made, Content(md5(b"train")))


def test_a_folder_that_is_nearly_known_says_what_is_otherwise(made: Repository) -> None:
    files = {"head.safetensors": md5(b"damaged"), ".DS_Store": "3" * 32}
    files["head.json"] = md5(json.dumps({"torch": "2.0", "w": "weights"}).encode())
    text = message(made, Content(folder_digest(files), files))
    assert f"most like {head(made, 'weights')}, with 2 files otherwise" in text
    assert "changed: head.safetensors; added: .DS_Store" in text
    lineage = find(made, Content(head(made, "weights")))
    assert lineage.place.path == "models/news"


def test_folders_that_the_cache_does_not_know_are_counted(made: Repository) -> None:
    made.stage("train@far", deps={}, outs={"models/far": "2" * 32 + ".dir"})
    made.commit("Made elsewhere")
    assert "of 1 folders, what is in them is not in DVC's cache" in message(made, Content("1" * 32))


def test_a_lock_in_conflict_is_passed_over(made: Repository) -> None:
    content = Content(head(made, "weights"))
    text = (made.folder / "dvc.lock").read_text()
    made.write("dvc.lock", f"<<<<<<< ours\n{text}=======\n{text}>>>>>>> theirs\n")
    made.commit("A conflict, committed")
    assert find(made, content).commit.subject == "First"


def test_a_project_in_a_folder_of_a_repository(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write(
        "sub/dvc.lock",
        "schema: '2.0'\nstages: {a: {cmd: a, outs: [{path: o, md5: " + "1" * 32 + "}]}}\n",
    )
    repository.write(
        "dvc.lock",
        "schema: '2.0'\nstages: {b: {cmd: b, outs: [{path: o, md5: " + "2" * 32 + "}]}}\n",
    )
    repository.commit("Two projects")
    (tmp_path / "sub" / ".dvc").mkdir()
    with Git(tmp_path / "sub") as git:
        cache = DvcCache(tmp_path / "sub")
        assert trace(git, cache, Content("1" * 32), name="o", path=None).place.stage == "a"
        with pytest.raises(LineageError):
            trace(git, cache, Content("2" * 32), name="o", path=None)


def test_without_a_repository_the_message_says_so(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="no Git repository with a commit"):
        Git(tmp_path)
    Repository(tmp_path)
    with pytest.raises(LineageError, match="no Git repository with a commit"):
        Git(tmp_path)


def test_versions_are_those_of_head_and_lock_file(made: Repository) -> None:
    lock_file = "# made\nTorch==2.1 ; sys_platform != 'x'\nnumpy==1\n    # via torch\nzope.x==3\n"
    assert pinned(lock_file) == {"torch": "2.1", "numpy": "1", "zope-x": "3"}
    content = Content(head(made, "weights"))
    lineage = find(made, content)
    cache = DvcCache(made.folder)
    assert torch_of_head(content, None, lineage.place.item, cache) == "2.0"
    raw = find(made, read_content(made.folder / "data/raw/news.jsonl"))
    assert torch_of_head(raw.content, None, raw.place.item, cache) is None
    versions = Versions(torch="2.0", pinned={"torch": "2.1", "pip": "1"}, encoders=("a: b",))
    lines = list(describe(lineage, versions))
    assert "torch     2.0, says head.json" in lines
    assert "pinned    torch 2.1" in lines
    assert "encoder   a: b" in lines


def test_encoders_are_named_with_what_fixes_them(made: Repository) -> None:
    rows = {
        "hub": {"source": "bert", "revision": "abc"},
        "packaged": {"source": "package:some_model/model", "revision": None},
        "folder": {"source": "./bert", "revision": None},
    }
    for name, row in rows.items():
        made.stage(f"encoder@{name}", deps={}, outs={name: name}, params={f"encoders.{name}": row})
    made.stage("extract", deps=dict.fromkeys(rows, "1"), outs={"f": "4" * 32})
    made.commit("Three encoders")
    stages = find(made, Content("4" * 32)).upstream.stages
    assert encoders_of(stages, {"some-model": "1.2"}) == [
        "hub: bert, revision abc",
        "packaged: package:some_model/model, version 1.2",
        "folder: ./bert",
    ]


def test_a_thousand_commits_take_a_few_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path)
    repository.git("fast-import", "--quiet", stdin=long_history(1000))
    started: list[Any] = []
    original = subprocess.Popen.__init__

    def counting(self: Any, *arguments: Any, **options: Any) -> None:
        started.append(arguments)
        original(self, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", counting)
    lineage = find(repository, Content(md5(b"head 3")))
    assert (lineage.oldest.subject, lineage.count) == ("commit 30", 10)
    assert lineage.newest.subject == "commit 39"
    assert len(started) < 12


def long_history(count: int) -> bytes:
    """A head that every tenth commit changes, and 300 outputs beside it, as `git fast-import`."""
    lines = []
    for number in range(count):
        stages = "".join(
            f"  stage@{stage}:\n    cmd: run\n    outs:\n    - path: out{stage}\n      hash: md5\n"
            f"      md5: {md5(f'{number} {stage}'.encode())}\n"
            for stage in range(300)
        )
        head = "  train:\n    cmd: run\n    outs:\n    - path: head\n      md5: "
        text = f"schema: '2.0'\nstages:\n{stages}{head}{md5(f'head {number // 10}'.encode())}\n"
        subject = f"commit {number}"
        lines.append(
            f"commit refs/heads/main\ncommitter a <a@example.org> {1_700_000_000 + number} +0000\n"
            f"data {len(subject)}\n{subject}\nM 100644 inline dvc.lock\n"
            f"data {len(text)}\n{text}\n"
        )
    return "".join(lines).encode()
