"""Compares the layers that a head could read; no stage of the pipeline."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand, complete_rows, echo, echo_logs
from pipeline.core.environment import (
    allow_open_files,
    choose_device,
    flush_denormals,
    keep_freed_memory,
    project_root,
    store_path,
    use_threads,
)
from pipeline.core.errors import ParameterError
from pipeline.core.files import atomic_directory, readable_json
from pipeline.core.params import ParamsFile
from pipeline.corpus.folds import require_splits
from pipeline.corpus.storage import read_labels, texts_of
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import Features, open_features
from pipeline.heads.settings import HeadSettings
from pipeline.layer_study.control import Control, control_labels
from pipeline.layer_study.study_tables import labels_csv, latex, layers_csv, text
from pipeline.sweeps.results import TRIALS

FOLDER = click.Path(path_type=Path)


@click.command(cls=LongCommand)
@click.argument("name", shell_complete=complete_rows("heads"))
@click.option("--seeds", help="Of training, as 13,14,15; by default those of the head.")
@click.option(
    "--random-init",
    "--floor",
    "with_random_init",
    is_flag=True,
    help="Also read an encoder of the same shape with random weights; runs it.",
)
@click.option(
    "--control",
    "how",
    type=click.Choice(["words", "shuffled"]),
    default="words",
    show_default=True,
    help="Of labels of words: a tag by chance for every word type, or tags shuffled over words.",
)
@click.option("--data-root", type=FOLDER, default="data", show_default=True)
@click.option("--studies-root", type=FOLDER, default="studies", show_default=True)
@PARAMS
def main(
    name: str,
    seeds: str | None,
    with_random_init: bool,
    how: Control,
    data_root: Path,
    studies_root: Path,
    params_path: Path,
) -> None:
    """Trains head NAME on each kept layer and on their mix, and writes studies/NAME_layers."""
    from pipeline.layer_study.selections import layer_selections, predict_selection
    from pipeline.layer_study.study import summarise

    params = ParamsFile(params_path)
    settings = params.section(HeadSettings, "heads", name)
    out = studies_root / f"{name}_layers"
    sweeps = params.table("sweeps") if params.data.get("sweeps") is not None else {}
    if (out / TRIALS).exists() or out.name in sweeps:
        raise ParameterError(
            f"{out}: is for the sweep of that name; rename the sweep in params.yaml, and this "
            "folder if it is there"
        )
    chosen_seeds = _seeds(seeds) if seeds else settings.training.seeds
    flush_denormals()
    use_threads()
    keep_freed_memory()
    allow_open_files()
    labels = read_labels(data_root / "labels" / settings.corpus, settings.label)
    settings = settings.resolved(settings.label_type(labels.kind))
    require_splits(labels)
    features = open_features(data_root / "features" / settings.features)
    texts = None
    if settings.on_words:
        texts = texts_of(data_root / "text" / settings.corpus, labels)
    control = control_labels(labels, texts, how)
    random_init = None
    if with_random_init:
        cache = studies_root / ".floors" / settings.features
        random_init = _random_init_features(params, settings, data_root, cache)
    hash_cache, device = HashCache(store_path() / CACHE_FILE), choose_device()
    with echo_logs():
        found = {
            selection: predict_selection(
                selection,
                settings,
                seeds=chosen_seeds,
                labels=labels,
                control=control,
                features=features,
                random_init=random_init,
                hash_cache=hash_cache,
                device=device,
            )
            for selection in layer_selections(features)
        }
    study = summarise(found, labels, control, task=settings.task, metric=settings.training.metric)
    study = {
        "head": settings.model_dump(mode="json", exclude={"layers", "combine"}),
        "texts_sha256": labels.texts_sha256,
        "recipe": features.manifest.recipe,
        "control": how if settings.on_words else "shuffled",
        **study,
    }
    with atomic_directory(out) as folder:
        for file, content in {
            "study.json": readable_json(study),
            "layers.csv": layers_csv(study),
            "labels.csv": labels_csv(study),
            "table.tex": latex(study, title=name),
        }.items():
            (folder / file).write_text(content, encoding="utf-8", newline="\n")
    for line in text(study):
        echo(line)
    test = study["test"]["head"]
    click.echo(
        f"{study['chosen']}, chosen on dev, on test: {study['metric']} {test['score']:.4f}; "
        f"written to {out}"
    )


def _seeds(listed: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(seed) for seed in listed.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise ParameterError(f"--seeds {listed}: give different whole numbers, as 13,14,15")
    return seeds


def _random_init_features(
    params: ParamsFile, head: HeadSettings, data: Path, cache: Path
) -> Features:
    from pipeline.layer_study.random_init import extract_random_init

    row = params.section(FeaturesSettings, "features", head.features)
    with echo_logs(f"random init of features {head.features}: "):
        folder = extract_random_init(
            row,
            texts=data / "text" / head.corpus,
            encoder=data / "encoders" / row.encoder,
            cache=cache,
            project=project_root(),
        )
    return open_features(folder)


if __name__ == "__main__":
    main()
