"""The rivals of a head that are fitted, each once for all heads that share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.core.environment import use_threads
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.probes.fit_cache import FitCache, features_digest, labels_digest
from pipeline.probes.fitted import FittedRival
from pipeline.probes.settings import ProbeSettings
from pipeline.tasks.registry import label_type_for


def fit_rivals(
    settings: ProbeSettings,
    labels: Labels,
    features: Features,
    read_texts: Callable[[], Sequence[Text]],
    *,
    fit_cache: FitCache,
    hash_cache: HashCache,
) -> dict[str, FittedRival]:
    """Fits the rivals of a head, or finds them; libraries are loaded only where one is fitted.

    Args:
        settings: what they share with the head.
        labels: the label column.
        features: of the same texts.
        read_texts: reader of the inputs, in the order of the labels.
        fit_cache: of rivals that were fitted before.
        hash_cache: cached checksums of the files to read.

    Returns:
        By key: ``probe``; for labels of texts ``tfidf``, if words say anything; for pairs apart
        ``cosine``.

    Raises:
        DataError, StoreError, TrainingError: see ``fit_probe``.
    """
    label_type = label_type_for(settings.task, labels.kind)
    layers = kept_layers(settings.layers, features)
    about = {"task": settings.task, "labels": labels_digest(labels)}
    found: dict[str, FittedRival] = {}

    def add(key: str, fit: Callable[[], FittedRival | None], **inputs: Any) -> None:
        inputs = {"rival": key, **about, **inputs}
        known = fit_cache.read(inputs)
        if known is None:
            use_threads()
            known = fit()
            if known is None:
                return
            fit_cache.write(inputs, known)
        found[key] = known

    def probe() -> FittedRival:
        from pipeline.probes.probe import fit_probe

        return fit_probe(settings, labels, features, hash_cache=hash_cache)

    def cosine() -> FittedRival:
        from pipeline.probes.cosine import fit_cosine

        return fit_cosine(settings, labels, features, hash_cache=hash_cache)

    def tfidf() -> FittedRival | None:
        from pipeline.probes.tfidf import fit_tfidf

        return fit_tfidf(settings, labels, features, read_texts())

    if not label_type.on_words:
        add("tfidf", tfidf)
    if features.pairs_apart:
        add("cosine", cosine, features=features_digest(features, [max(layers)]))
    add("probe", probe, features=features_digest(features, layers))
    return found
