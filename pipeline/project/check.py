"""Checks of params.yaml as a whole: every row by itself, and what rows say of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.environment import store_path
from pipeline.core.errors import EncoderError
from pipeline.core.params import ParamsFile, SectionType
from pipeline.corpus.folds import FEWEST
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import changed_files
from pipeline.encoder.source import pin_advice, source_depth
from pipeline.extraction.estimate import cost_of_layer
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.layers import resolve_layer
from pipeline.heads.settings import AUTO, HeadSettings
from pipeline.ingest.settings import STORED_KIND, CorpusSettings
from pipeline.report.settings import ReportSettings
from pipeline.sweeps.settings import SweepSettings
from pipeline.sweeps.space import options
from pipeline.sweeps.validation import read_sweep
from pipeline.tasks.registry import label_types_of_task

TABLES = ("encoders", "corpora", "features", "heads")
SECTIONS = (*TABLES, "report", "sweeps")


@dataclass(frozen=True)
class Tables:
    """All of params.yaml, each row valid by itself."""

    encoders: dict[str, EncoderSettings]
    corpora: dict[str, CorpusSettings]
    features: dict[str, FeaturesSettings]
    heads: dict[str, HeadSettings]
    sweeps: dict[str, SweepSettings]


def check_params(params: ParamsFile, *, features_root: Path) -> Tables:
    """All rows of ``params.yaml``, each valid by itself, and with what others say of it.

    Args:
        params: the file.
        features_root: folder of the features, for what one more layer would cost.

    Raises:
        ParameterError: something is wrong; it names the line and what to do.
    """
    tables = read_tables(params)
    depths = {name: _depth(params, name, row) for name, row in tables.encoders.items()}
    for name, corpus in tables.corpora.items():
        if not Path(corpus.path).exists():
            advice = "`make setup` writes the samples, `dvc pull` brings tracked data"
            raise params.error(
                ("corpora", name, "path"), f"{corpus.path}: no such file or folder; {advice}"
            )
    for name, row in tables.features.items():
        _refers(params, ("features", name, "corpus"), row.corpus, tables.corpora)
        _refers(params, ("features", name, "encoder"), row.encoder, tables.encoders)
        if row.pairs == "apart" and tables.corpora[row.corpus].text_b is None:
            raise params.error(
                ("features", name, "pairs"),
                f"corpora.{row.corpus} has no pairs of texts to read apart: give it a text_b, or "
                "leave out pairs",
            )
        _check_kept_layers(params, name, row, depths[row.encoder])
    for name, head in tables.heads.items():
        _refers(params, ("heads", name, "corpus"), head.corpus, tables.corpora)
        _refers(params, ("heads", name, "features"), head.features, tables.features)
        row = tables.features[head.features]
        _check_head(params, name, head, tables.corpora[head.corpus], row)
        folder = features_root / head.features
        _check_head_layers(params, ("heads", name, "layers"), head, row, depths, folder)
    for name, sweep in tables.sweeps.items():
        head = tables.heads[sweep.head]
        row, folder = tables.features[head.features], features_root / head.features
        searched = sweep.space.get("layers")
        for layers in () if searched is None else options(searched):
            changed = head.model_copy(update={"layers": tuple(layers)})
            place = ("sweeps", name, "space", "layers")
            _check_head_layers(params, place, changed, row, depths, folder)
    return tables


def changed_sources(tables: Tables, encoders_root: Path) -> Iterator[tuple[str, str, str]]:
    """Yields encoders, files and sources of local folders that changed since they were copied."""
    for name, encoder in tables.encoders.items():
        if encoder.kind == "folder" and (encoders_root / name).is_dir():
            for file in changed_files(encoder, encoders_root / name):
                yield name, file, encoder.source


def read_tables(params: ParamsFile) -> Tables:
    """Every row of ``params.yaml``, valid by itself.

    Raises:
        ParameterError: a row is not valid, or a section is unknown or missing.
    """
    for section in params.data:
        if section not in SECTIONS:
            raise params.error((section,), f"unknown section; known are {', '.join(SECTIONS)}")
    if "report" not in params.data:
        raise params.error((), "has no section report; write `report: {texts: true}` into it")
    params.section(ReportSettings, "report")

    def rows(table: str, model: type[SectionType]) -> dict[str, SectionType]:
        return {name: params.section(model, table, name) for name in params.table(table)}

    sweeps = params.table("sweeps") if params.data.get("sweeps") is not None else {}
    return Tables(
        encoders=rows("encoders", EncoderSettings),
        corpora=rows("corpora", CorpusSettings),
        features=rows("features", FeaturesSettings),
        heads=rows("heads", HeadSettings),
        sweeps={name: read_sweep(params, name)[0] for name in sweeps},
    )


def _refers(params: ParamsFile, keys: tuple[str, ...], name: str, table: dict[str, Any]) -> None:
    if name not in table:
        kind = {"corpus": "corpora", "encoder": "encoders"}.get(keys[-1], keys[-1])
        known = ", ".join(table) or "none"
        raise params.error(keys, f"there is no {kind}.{name}; known are: {known}")


def _depth(params: ParamsFile, name: str, settings: EncoderSettings) -> int | None:
    """Layers of an encoder; ``None`` for a Hub model, whose files are not here yet."""
    if settings.kind == "hub":
        if settings.revision is None:
            raise params.error(("encoders", name, "revision"), pin_advice(settings.source))
        return None
    try:
        return source_depth(settings)
    except EncoderError as error:
        raise params.error(("encoders", name, "source"), str(error)) from None


def _check_kept_layers(
    params: ParamsFile, name: str, row: FeaturesSettings, depth: int | None
) -> None:
    if depth is None:
        return
    seen: set[int] = set()
    for position, layer in enumerate(row.layers):
        index = resolve_layer(layer, depth)
        keys = ("features", name, "layers", position)
        if index is None:
            raise params.error(
                keys,
                f"encoders.{row.encoder} has no layer {layer}; it has 0 (embeddings) to {depth}",
            )
        if index in seen:
            raise params.error(keys, f"layer {layer} is named twice (it is layer {index})")
        seen.add(index)


def _check_head(
    params: ParamsFile, name: str, head: HeadSettings, corpus: CorpusSettings, row: FeaturesSettings
) -> None:
    if row.corpus != head.corpus:
        raise params.error(
            ("heads", name, "features"),
            f"features.{head.features} is of corpora.{row.corpus}, "
            f"the head of corpora.{head.corpus}",
        )
    if corpus.split.folds is not None and corpus.split.folds < FEWEST:
        raise params.error(
            ("heads", name, "corpus"),
            f"corpora.{head.corpus} has {corpus.split.folds} folds, a head needs {FEWEST} or more: "
            "one for test, one for dev, and the others to learn from",
        )
    if head.label not in corpus.labels:
        raise params.error(
            ("heads", name, "label"),
            f"corpora.{head.corpus} has no label {head.label!r}; "
            f"it has: {', '.join(corpus.labels)}",
        )
    kind = STORED_KIND[corpus.labels[head.label]]
    wanted = list(dict.fromkeys(own.column_kind for own in label_types_of_task(head.task)))
    if kind not in wanted:
        raise params.error(
            ("heads", name, "task"),
            f"{head.task} learns a label of kind {' or '.join(map(repr, wanted))}, "
            f"{head.label!r} is of kind {kind!r}",
        )
    if head.scheme != AUTO and (head.scheme is not None) != (kind == "bio"):
        raise params.error(
            ("heads", name, "scheme"),
            f"must be bio or bioes, since {head.label!r} holds entities"
            if kind == "bio"
            else f"must be null, since {head.label!r} holds no entities",
        )


def _check_head_layers(
    params: ParamsFile,
    place: tuple[str, ...],
    head: HeadSettings,
    row: FeaturesSettings,
    depths: dict[str, int | None],
    folder: Path,
) -> None:
    depth = depths[row.encoder]
    kept = {layer if depth is None else resolve_layer(layer, depth) for layer in row.layers}
    seen: set[int | None] = set()
    for position, layer in enumerate(head.layers):
        index = layer if depth is None else resolve_layer(layer, depth)
        # Of a sweep, the field is a choice of layers, and no place in a list.
        keys = (*place, position) if place[0] == "heads" else place
        if index in seen:
            raise params.error(keys, f"layer {layer} is named twice (it is layer {index})")
        seen.add(index)
        if index in kept:
            continue
        if index is None:
            raise params.error(
                keys,
                f"encoders.{row.encoder} has no layer {layer}; it has 0 (embeddings) to {depth}",
            )
        if depth is None and any((layer < 0) != (other < 0) for other in row.layers):
            continue  # the same layer may be written from either end; training knows the depth
        raise params.error(
            keys,
            f"layer {layer} is not kept by features.{head.features}: to add it, put {layer} into "
            f"features.{head.features}.layers, at a cost: "
            f"{cost_of_layer(folder, index, store_root=store_path())}",
        )
