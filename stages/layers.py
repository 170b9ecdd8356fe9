"""Compares the layers that a head could read; no stage of the pipeline."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import click
from click.core import ParameterSource

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
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import read_snapshot
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import Features, open_features
from pipeline.heads.settings import HeadSettings
from pipeline.ingest.prepare import PreparedCorpus
from pipeline.ingest.settings import CorpusSettings
from pipeline.layer_study.control import Control, control_labels
from pipeline.layer_study.study_tables import labels_csv, latex, layers_csv, text
from pipeline.setup.first_rows import ROWS
from pipeline.setup.rows import LAST_LAYERS, are_long, default_layers, features_row
from pipeline.sweeps.results import TRIALS

FOLDER = click.Path(path_type=Path)


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of heads; of a quick look, names of a corpus and an encoder."""
    tables = {"name": "heads"}
    if ctx.params.get("quick"):
        tables = {"name": "corpora", "encoder": "encoders"}
    table = tables.get(parameter.name or "")
    return complete_rows(table)(ctx, parameter, incomplete) if table else []


@click.command(cls=LongCommand)
@click.argument("name", shell_complete=_complete)
@click.argument("encoder", required=False, shell_complete=_complete)
@click.option(
    "--quick",
    is_flag=True,
    help="Instead, fit linear probes to all layers of ENCODER, by default the first of its table, "
    "on some rows of corpus NAME; nothing has to be built before.",
)
@click.option("--label", help="With --quick: the one label to learn; by default all of them.")
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
    encoder: str | None,
    quick: bool,
    label: str | None,
    seeds: str | None,
    with_random_init: bool,
    how: Control,
    data_root: Path,
    studies_root: Path,
    params_path: Path,
) -> None:
    """Trains head NAME on each kept layer and on their mix, and writes studies/NAME_layers.

    With --quick, NAME is a corpus, and linear probes tell in about a minute which layers of an
    encoder are worth keeping.
    """
    _refuse_mixed_options(quick=quick)
    if quick:
        _quick_look(ParamsFile(params_path), name, encoder, label, data_root / "encoders")
        return
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


def _refuse_mixed_options(*, quick: bool) -> None:
    """Refuses what only the other way of comparing layers has."""
    ctx = click.get_current_context()
    others = ("seeds", "with_random_init", "how") if quick else ("encoder", "label")
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in others and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else name.upper()
            raise click.UsageError(f"{shown} {'does not go' if quick else 'goes'} with --quick")


def _quick_look(
    params: ParamsFile, name: str, encoder: str | None, label: str | None, encoders_root: Path
) -> None:
    from pipeline.quick_look.encoded_sample import materialised
    from pipeline.quick_look.look import quick_look
    from pipeline.quick_look.sample import draw_sample
    from stages.prepare import progress_bar, validated

    settings = params.section(CorpusSettings, "corpora", name)
    if label is not None and label not in settings.labels:
        known = ", ".join(settings.labels)
        raise params.error(("corpora", name, "labels"), f"has no {label!r}; it has: {known}")
    encoder = encoder or next(iter(params.table("encoders")), "")
    model = params.section(EncoderSettings, "encoders", encoder)
    with progress_bar(name, Path(settings.path), readings=2) as progress:
        corpus = validated(settings, progress.update)
        features = _features_settings(params, name, encoder, corpus)
        sample = draw_sample(corpus, features)
    folder = materialised(model, encoders_root / encoder)
    quick_look(
        sample,
        [label] if label is not None else list(settings.labels),
        usual=default_layers(settings, read_snapshot(folder, verify=False).depth),
        settings=features,
        encoder=folder,
        store_root=store_path(),
        project=project_root(),
        trust_remote_code=model.trust_remote_code,
    )


def _features_settings(
    params: ParamsFile, corpus: str, encoder: str, rows: PreparedCorpus
) -> FeaturesSettings:
    """The first features row of a corpus and an encoder; without any, one as `init` writes it."""
    table = params.table("features") if "features" in params.data else {}
    for name in table:
        found = params.section(FeaturesSettings, "features", name)
        if (found.corpus, found.encoder) == (corpus, encoder):
            return found
    long = are_long(example.text for example in islice(rows.examples, ROWS))
    row = features_row(
        corpus, encoder, layers=[LAST_LAYERS], long=long, pairs=False, raw_bytes=0
    )  # of pairs, a quick look reads both ways, whatever the row
    return FeaturesSettings.model_validate_json(json.dumps(row))


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
