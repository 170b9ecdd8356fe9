"""What docs/guides/proteins.md shows happens, with a tiny ESM and proteins that are made."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest
from console import matches, sessions
from dvc_project import Project, copy_code
from import_graph import ROOT
from other_encoders import save_source
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs" / "guides" / "proteins.md").read_text(encoding="utf-8")
HELIX, STRAND = set("AELMKQR"), set("VIYFWT")


def write_proteins(path: Path, count: int = 40) -> None:
    """Random proteins, whose structure is what each residue prefers."""
    draw = random.Random(7)  # noqa: S311
    lines = ["id,sequence,dssp3"]
    for number in range(count):
        residues = draw.choices("ACDEFGHIKLMNPQRSTVWY", k=draw.randint(8, 40))
        labels = ["H" if r in HELIX else "E" if r in STRAND else "C" for r in residues]
        lines.append(f"p{number},{''.join(residues)},{''.join(labels)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy_code(tmp_path_factory.mktemp("proteins"))
    save_source("esm", made.folder / "esm2", max_position_embeddings=1026)
    write_proteins(made.folder / "structure.csv")
    (made.folder / "data" / "raw").mkdir(parents=True)
    [rows] = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    tables = YAML(typ="safe").load(rows)
    assert list(tables) == ["encoders", "corpora", "features", "heads"]
    (made.folder / "params.yaml").write_text(rows + "report: {texts: true}\n", encoding="utf-8")
    return made


def test_every_command_of_the_guide_prints_what_the_guide_shows(project: Project) -> None:
    commands = sessions(GUIDE)
    assert len(commands) == 6
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
