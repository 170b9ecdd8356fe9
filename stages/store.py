"""The feature store: its size, whether it is intact, what may go, and features to give away."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from tqdm import tqdm

from pipeline.core.command import PARAMS, StageCommand, complete_rows, echo_logs
from pipeline.core.environment import project_root, store_path
from pipeline.core.errors import ParameterError, StoreError
from pipeline.core.files import sha256_file
from pipeline.core.lock import no_writer, only_writer
from pipeline.core.params import ParamsFile
from pipeline.core.printing import printable
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.encoder.settings import trusts_code
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.layers import resolve_layer
from pipeline.features.reader import open_features
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.local import all_stores
from pipeline.store.usage import collect_garbage, features_usage, store_usage
from pipeline.store.verify import (
    Damage,
    expect_cached,
    expect_features,
    expect_store,
    features_folders,
    find_damage,
    total_size,
)

FEATURES = Path("data/features")
ENCODERS = Path("data/encoders")
CORPORA = Path("data/text")


@click.group(help=__doc__)
def main() -> None:
    """Groups the commands."""


@main.command(cls=StageCommand)
def stats() -> None:
    """Prints what features and store take on disk.

    For every features row and layer: tokens, files, size, and how much of it other features rows
    share. For the local store: its size by recipe, and how much nothing else links to, which is
    what `gc` frees. Files that workspace, store and DVC's cache share by hard links are on disk
    once.
    """
    folders = features_folders(FEATURES)
    click.echo(
        f"{'features':24} {'part':9} {'tokens':>11} {'files':>6} {'MB':>9} {'shared MB':>10}"
    )
    for row in features_usage(folders):
        click.echo(
            f"{printable(row.features):24} {row.part:9} {row.tokens:11,} {row.shards:6,} "
            f"{row.bytes / 1e6:9.1f} {row.shared / 1e6:10.1f}"
        )
    click.echo(f"\nstore {store_path()}")
    click.echo(f"{'recipe':34} {'shards':>11} {'MB':>16} {'unused MB':>10}")
    for usage in store_usage(all_stores(store_path()), folders):
        click.echo(
            f"{usage.recipe:34} {usage.shards:11,} {usage.bytes / 1e6:16.1f} "
            f"{usage.unused / 1e6:10.1f}"
        )


@main.command(cls=StageCommand)
@click.argument("names", nargs=-1, shell_complete=complete_rows("features"))
@click.option("--recompute", type=click.IntRange(min=1), help="Compute N rows of each afresh, too.")
@click.option("--repair", is_flag=True, help="Make damaged files anew, and nothing else.")
@PARAMS
def verify(names: tuple[str, ...], recompute: int | None, repair: bool, params_path: Path) -> None:
    """Reads every byte of features NAMES (default: all), of the store, and of DVC's cache.

    Every file is compared with the digest that was noted when it was written, in the workspace,
    in the local store and, for the features that dvc.lock lists, in DVC's cache.

    --repair replaces what is damaged in all three places: by an intact copy where one is left,
    otherwise by extracting the shard again, which gives the same bytes on the same kind of
    machine. Needs data/text and data/encoders of the features row.

    --recompute N runs the encoder on N random rows of each features row and compares: bit for bit
    where this kind of machine computed all of them, else within the storage precision.

    Exits with 2 where something is damaged (and was not repaired).
    """
    folders = _folders(names)
    damages = _damages(folders)
    for damage in damages:
        click.echo(printable(f"damaged: {damage}"))
    if damages and repair:
        _repair(folders, ParamsFile(params_path))
        damages = _damages(folders)
    if damages:
        advice = "" if repair else "; run `python -m stages.store verify --repair`"
        raise StoreError(f"{damages[0]}; {len(damages)} files are damaged in all{advice}")
    names_found = ", ".join(folder.name for folder in folders) or "no features"
    click.echo(printable(f"intact: {names_found}, and the store"))
    if recompute:
        for folder in folders:
            _recompute(folder, ParamsFile(params_path), recompute)


@main.command(cls=StageCommand)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def gc(dry_run: bool) -> None:
    """Removes from the local store what nothing else links to.

    A shard stays if a workspace or DVC's cache has it too: removing it would free nothing. What
    goes are shards of experiments that were never kept, and of versions that `dvc gc` has dropped;
    they are computed again if they are ever asked for.
    """
    root = store_path()
    folders = features_folders(FEATURES)
    if not root.is_dir():
        click.echo(f"{root}: there is no store yet")
        return
    with echo_logs(), only_writer(root, "store gc"):
        files, size = collect_garbage(all_stores(root), folders, dry_run=dry_run)
        if not dry_run:
            (root / CACHE_FILE).unlink(missing_ok=True)
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{files} files, {size / 1e6:.1f} MB {verb}")


@main.command(cls=StageCommand)
@click.argument("name", shell_complete=complete_rows("features"))
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--layer", "layers", type=int, multiple=True, help="Only this layer; may be repeated."
)
def export(name: str, target: Path, layers: tuple[int, ...]) -> None:
    """Writes features NAME into one self-contained HDF5 file TARGET.

    Its paths are those of features.h5 (layers/06, tokens/input_ids, examples/id, ...), its root
    attributes say what computed it, and h5py alone reads it. Texts and labels are not in it.
    """
    from pipeline.store.export import export_features

    features = open_features(FEATURES / name)
    features.verify()
    chosen = []
    for layer in layers or features.layers:
        index = resolve_layer(layer, features.manifest.depth)
        if index is None or index not in features.layers:
            kept = ", ".join(map(str, features.layers))
            raise StoreError(f"{features.folder}: keeps no layer {layer}; it keeps {kept}")
        chosen.append(index)
    tokens = features.manifest.tokens * len(chosen)
    with tqdm(total=tokens, unit=" tokens", unit_scale=True, disable=None) as bar:
        export_features(features, target, layers=sorted(set(chosen)), progress=bar.update)
    click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


def _folders(names: tuple[str, ...]) -> list[Path]:
    if not names:
        return features_folders(FEATURES)
    for name in names:
        if not (FEATURES / name).is_dir():
            raise StoreError(f"{FEATURES / name}: no such features; run `dvc repro` or `dvc pull`")
    return [FEATURES / name for name in names]


def _damages(folders: list[Path]) -> list[Damage]:
    """What is damaged in the workspace, in DVC's cache of the same features, and in the store.

    Nobody writes to the store meanwhile: a file that `gc` removes is no damage.
    """
    with echo_logs(), no_writer(store_path(), "store verify"):
        return _find_damages(folders)


def _find_damages(folders: list[Path]) -> list[Damage]:
    cache = DvcCache(project_root())
    expected = [item for folder in folders for item in expect_features(folder)]
    for folder in folders:
        if cached := cache.folder(folder):
            expected += expect_cached(cached)
    # What was remembered is exactly what is in question.
    hash_cache = HashCache(store_path() / CACHE_FILE, trust=False)
    for store in all_stores(store_path(), hash_cache):
        expected += expect_store(store)
    with tqdm(total=total_size(expected), unit="B", unit_scale=True, disable=None) as bar:
        return find_damage(expected, hash_cache, bar.update)


def _repair(folders: list[Path], params: ParamsFile) -> None:
    """Repairs features rows; what is then still damaged in the store is removed."""
    from pipeline.encoder.snapshot import read_snapshot
    from pipeline.extraction.repair import repair_features
    from pipeline.extraction.run import extract

    cache = DvcCache(project_root())
    hash_cache = HashCache(store_path() / CACHE_FILE, trust=False)
    for folder in folders:
        cached = cache.folder(folder)
        expected = [*expect_features(folder), *(expect_cached(cached) if cached else ())]
        if not find_damage(expected, hash_cache, _ignore):
            continue
        settings, texts, encoder = _sources(params, folder.name)
        texts_sha256 = sha256_file(texts / TEXTS)
        with echo_logs(f"features {folder.name}: "):
            repair_features(
                folder,
                texts_sha256=texts_sha256,
                store_root=store_path(),
                cached=cached,
                hash_cache=hash_cache,
                width=read_snapshot(encoder, verify=False).width,
                extract=partial(
                    extract,
                    partial(read_texts, texts),
                    texts_sha256=texts_sha256,
                    encoder_folder=encoder,
                    settings=settings,
                    store_root=store_path(),
                    project=project_root(),
                    trust_remote_code=trusts_code(params, settings.encoder),
                ),
            )
    with echo_logs(), only_writer(store_path(), "store verify --repair"):
        for store in all_stores(store_path(), hash_cache):
            for shard, file in list(store.files()):
                if not store.holds(shard, file):
                    store.remove(shard, file)
                    click.echo(f"{store.path(shard, file)}: removed; no features here need it")


def _recompute(folder: Path, params: ParamsFile, count: int) -> None:
    from pipeline.extraction.recompute import recompute

    settings, texts, encoder = _sources(params, folder.name)
    result = recompute(
        open_features(folder),
        partial(read_texts, texts),
        encoder_folder=encoder,
        store_root=store_path(),
        count=count,
        trust_remote_code=trusts_code(params, settings.encoder),
    )
    if result.different:
        raise StoreError(
            f"{folder}: {len(result.different)} of {result.rows} rows computed afresh differ, "
            f"example {result.different[0]!r} first, by up to {result.largest:.3g}; its texts or "
            "encoder are not those that it was made of, or the machine computes wrongly"
        )
    how = "bit for bit" if result.same_machine else "within the precision (other machines computed)"
    click.echo(printable(f"features {folder.name}: {result.rows} rows computed afresh agree {how}"))


def _sources(params: ParamsFile, name: str) -> tuple[FeaturesSettings, Path, Path]:
    """What a features row is extracted from: its settings, its texts, its encoder."""
    if name not in params.table("features"):
        raise ParameterError(
            f"{params.path}: features has no row {name!r}; it is needed to extract"
        )
    settings = params.section(FeaturesSettings, "features", name)
    texts, encoder = CORPORA / settings.corpus, ENCODERS / settings.encoder
    for path in (texts / TEXTS, encoder):
        if not path.exists():
            raise StoreError(
                f"{path}: is missing, and is needed to compute features {name}; run `dvc checkout`"
            )
    return settings, texts, encoder


def _ignore(_: int) -> None:
    """Progress of what takes no time: it was read a moment ago."""


if __name__ == "__main__":
    main()
