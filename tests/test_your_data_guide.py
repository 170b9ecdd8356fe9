"""What docs/guides/your-data.md shows is what happens, command after command."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from console import matches, sessions
from dvc_project import Project, make_project
from import_graph import ROOT
from ruamel.yaml import YAML

from pipeline.extraction.settings import FeaturesSettings
from pipeline.ingest.settings import CorpusSettings

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs" / "guides" / "your-data.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("guide"))


def test_every_command_of_the_guide_prints_what_the_guide_shows(project: Project) -> None:
    commands = sessions(GUIDE)
    assert len(commands) == 19
    for command, expected in commands:
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=project.folder,
            env={**project.environment, "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert matches(expected, result.stdout), f"{command}\n{result.stdout}"


def test_every_row_of_the_guide_is_one_of_corpora_or_features() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    corpora: dict[str, Any] = {}
    features: dict[str, Any] = {}
    for block in blocks:
        tables = YAML(typ="safe").load(block)
        corpora |= tables.get("corpora", {})
        features |= tables.get("features", {})
    assert (len(corpora), len(features)) == (6, 1)
    for row in corpora.values():
        CorpusSettings.model_validate_json(json.dumps(row))
    for row in features.values():
        FeaturesSettings.model_validate_json(json.dumps(row))
        assert CorpusSettings.model_validate_json(json.dumps(corpora[row["corpus"]])).text_b


def test_the_guide_names_every_format_kind_and_setting() -> None:
    settings = set(CorpusSettings.model_fields)
    table = CorpusSettings.model_json_schema()
    formats = table["properties"]["format"]["enum"]
    kinds = table["properties"]["labels"]["additionalProperties"]["enum"]
    for name in (*settings, *formats, *kinds):
        assert re.search(rf"\b{name}\b", GUIDE), f"{name} is not in the guide"


def test_files_that_the_guide_links_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (Path(ROOT / "docs" / "guides") / target).exists()
