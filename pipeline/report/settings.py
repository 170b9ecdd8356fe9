"""The section ``report`` of ``params.yaml``."""

from __future__ import annotations

from pipeline.core.params import Section


class ReportSettings(Section):
    """Settings of the page.

    Attributes:
        texts: whether the page holds texts of the corpora; without, it has ids and labels only, so
            that it can be given to people who may not read the data.
    """

    texts: bool
