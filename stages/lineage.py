"""Says which commit, data, encoder and parameters made a file, and how to make it again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
from tqdm import tqdm

from pipeline.core.command import StageCommand, echo
from pipeline.core.environment import project_root, store_path
from pipeline.core.errors import LineageError
from pipeline.lineage.content import DIGEST, Content, folder_files, read_content
from pipeline.lineage.describe import Versions, describe, rebuild_commands
from pipeline.lineage.git import Git
from pipeline.lineage.lock_entries import Item
from pipeline.lineage.machines import machines_of, why_different
from pipeline.lineage.rebuild import (
    EXTRACT,
    Plan,
    clone_of,
    different_outputs,
    lacking,
    plan_rebuild,
    provide,
    run_stages,
)
from pipeline.lineage.trace import Lineage, trace
from pipeline.lineage.versions import SAMPLES, commit_versions, encoders_of, torch_of_head
from pipeline.store.dvc_cache import DvcCache


@click.command(cls=StageCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Make it again in a clone of its own, and compare.")
@click.option("--from-texts", is_flag=True, help="With --check: extract its features anew, too.")
def main(file: Path, check: bool, from_texts: bool) -> None:
    """Says which commit, data, encoder and parameters made FILE, and how to make it again.

    FILE is a file or folder that DVC tracks: a head or its weights, features, metrics, an encoder,
    a raw corpus; or a copy of one, wherever it is; or just a digest that dvc.lock has. It is found
    by its content, in every version of dvc.lock and of .dvc files that a branch, tag or experiment
    has.

    --check clones the project at that commit, runs the stage that made the file and all stages
    before it, and compares digests. It takes from DVC's cache raw data and the encoder, which is a
    copy, and the features, which take long; --from-texts extracts those as well, with an empty
    store. It uses the packages that are installed here.

    Exits with 2 where FILE is not found, or is rebuilt to other bytes.
    """
    if from_texts and not check:
        raise click.UsageError("--from-texts says how to --check")
    root = project_root()
    cache = DvcCache(root)
    content = _content(file)
    with Git(root) as git:
        lineage = trace(git, cache, content, name=str(file), path=_path_in(root, file))
        pinned = commit_versions(git, lineage.commit.sha)
        versions = Versions(
            torch=torch_of_head(content, file, lineage.place.item, cache),
            pinned=pinned,
            encoders=encoders_of(
                lineage.upstream.stages, commit_versions(git, lineage.commit.sha, SAMPLES)
            ),
        )
    for line in describe(lineage, versions):
        echo(line)
    echo("")
    echo("to make it again")
    for line in rebuild_commands(lineage, root=root, pull_from=_cache_without_remote(root, cache)):
        echo(f"  {line}")
    if check:
        echo("")
        _check(lineage, versions, root, cache, from_texts=from_texts)


def _check(
    lineage: Lineage, versions: Versions, root: Path, cache: DvcCache, *, from_texts: bool
) -> None:
    if not lineage.upstream.stages:
        echo(f"{lineage.place.path}: raw data, which nothing makes: there is nothing to run")
        return
    planned = partial(plan_rebuild, lineage.upstream, from_texts=from_texts)
    _pull(planned(held=lambda _: True).start, root, cache)
    plan = planned(held=lambda item: not lacking(cache, item))
    echo(f"runs {', '.join(stage.name for stage in plan.stages)}")
    for item in plan.start:
        echo(f"takes {item.path} from DVC's cache")
    start = time.monotonic()
    with clone_of(root, lineage.commit.sha) as clone:
        provide(plan.start, cache, clone)
        run_stages(clone, plan.stages)
        different = list(different_outputs(clone, plan.stages))
    seconds = time.monotonic() - start
    echo(f"rebuilt in {seconds:.0f} s")
    names = {item.path for item, _ in different}
    for stage in plan.stages:
        for out in stage.outs:
            echo(f"{'different' if out.path in names else 'same':9} {out.path}")
    if lineage.place.item.path in names:
        first, digest = different[0]
        raise LineageError(
            f"{first.path}: rebuilt as {digest} instead of {first.digest}; "
            f"{_why(lineage, versions, plan, cache)}"
        )


def _content(file: Path) -> Content:
    if not file.exists():
        if DIGEST.fullmatch(str(file)):
            return Content(str(file))
        raise LineageError(f"{file}: no such file or folder, and no digest")
    size = sum(path.stat().st_size for path in ([file] if file.is_file() else folder_files(file)))
    with tqdm(total=size, unit="B", unit_scale=True, disable=None, delay=1) as bar:
        return read_content(file, bar.update)


def _path_in(root: Path, file: Path) -> str | None:
    path = file.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _cache_without_remote(root: Path, cache: DvcCache) -> Path | None:
    """DVC's cache, where no remote is there to pull from."""
    from dvc.config import Config

    some = cache.object("0" * 32)
    if some is None or Config(str(root / ".dvc"))["core"].get("remote"):
        return None
    return some.parents[3]


def _pull(items: Iterable[Item], root: Path, cache: DvcCache) -> None:
    """Brings into DVC's cache what it lacks and the remote has, if there is one."""
    from dvc.config import Config, RemoteConfigError
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    missing = {item.path: absent for item in items if (absent := lacking(cache, item))}
    if not missing or not Config(str(root / ".dvc"))["core"].get("remote"):
        return
    echo(f"pulls {', '.join(missing)}")
    # By digest: `dvc fetch` of another commit would look for the remote that the commit had. File
    # by file: DVC takes a folder for complete where its listing is there.
    with Repo(str(root)) as repo, suppress(DvcException, RemoteConfigError):
        repo.cloud.pull([HashInfo("md5", one) for absent in missing.values() for one in absent])


def _why(lineage: Lineage, versions: Versions, plan: Plan, cache: DvcCache) -> str:
    if lineage.differences:
        return f"the commit is not what its dvc.lock says ({lineage.differences[0]})"
    import torch

    from pipeline.core.environment import choose_device, describe_machine, use_threads

    extracted = [
        out for stage in plan.stages if stage.name.split("@", 1)[0] == EXTRACT for out in stage.outs
    ]
    return why_different(
        torch_then=versions.torch or versions.pinned.get("torch"),
        torch_now=torch.__version__.split("+")[0],
        logged=[entry for item in extracted for entry in machines_of(item, cache, store_path())],
        machine=describe_machine(choose_device(), use_threads()),
    )


if __name__ == "__main__":
    main()
