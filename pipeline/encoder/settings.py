"""The settings of one row of ``encoders`` in ``params.yaml``."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import ParamsFile, Section

_COMMIT = re.compile(r"[0-9a-f]{40}")


class EncoderSettings(Section):
    """A frozen model: ``package:<package>/<folder>``, a local folder, or a Hub id with revision.

    A source that starts with ``.``, ``/`` or ``~`` is a folder. ``trust_remote_code`` runs Python
    files that come with the model, with all that this user may do.
    """

    source: str = Field(min_length=1)
    revision: str | None
    trust_remote_code: bool = False

    @property
    def kind(self) -> Literal["package", "folder", "hub"]:
        """Kind of source: a package, the Hub or a folder."""
        if self.source.startswith("package:"):
            return "package"
        return "folder" if self.source[0] in "./~" else "hub"

    @model_validator(mode="after")
    def _revision_is_a_commit(self) -> Self:
        if self.kind != "hub" and self.revision is not None:
            raise ValueError("'revision' is for Hub models; use null here")
        if self.revision is not None and not _COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision {self.revision!r} is a name that may move; "
                "use the 40 hexadecimal digits of a commit"
            )
        return self


def trusts_code(params: ParamsFile, name: str) -> bool:
    """Whether a row of ``encoders`` lets Python code of its model run; without a row it may not.

    Raises:
        ParameterError: the row is not valid.
    """
    rows = params.data.get("encoders")
    if not isinstance(rows, dict) or name not in rows:
        return False
    return params.section(EncoderSettings, "encoders", name).trust_remote_code
