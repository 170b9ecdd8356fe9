"""Copies the plotting library from its package into the project, for pages that work offline.

Only for those who move to another version: what it writes is part of the repository.
"""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import StageCommand
from pipeline.core.errors import MachineError
from pipeline.core.files import write_text

VEGA_LITE = "6.4"
GLOBALS = "window.vegaEmbed = vegaEmbed;"

NOTICE = """/*!
 * Vega {vega}, Vega-Lite {vega_lite} and Vega-Embed {vega_embed}, with the packages that they use.
 * Copyright (c) 2015-2023, University of Washington Interactive Data Lab, and others.
 * Licences: BSD-3-Clause; parts of it ISC, MIT, Apache-2.0, 0BSD or public domain.
 * Their texts are in Icehouse's pipeline/report/assets/LICENSE.vega.txt.
 */
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plots</title>
{refresh_tag}
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #1d2329; background: #fff }}
body > div {{ margin: 0 0 2.5rem; overflow-x: auto }}
table {{ border-collapse: collapse }}
th, td {{ padding: .25rem .75rem .25rem 0; text-align: left }}
</style>
<script>
{vega}</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


@click.command(cls=StageCommand)
@click.option("--script", type=click.Path(path_type=Path), default="pipeline/report/assets/vega.js")
@click.option("--template", type=click.Path(path_type=Path), default=".dvc/plots.html")
def main(script: Path, template: Path) -> None:
    """Writes the script of Vega, Vega-Lite and Vega-Embed, and with it a page for `dvc plots`."""
    try:
        from vl_convert import get_vega_embed_version, get_vega_version, javascript_bundle
    except ModuleNotFoundError:
        raise MachineError(
            "there is no package vl_convert; `pip install vl-convert-python`"
        ) from None
    # In a function of its own: the bundle's short names would be those of every other script.
    code = f"(() => {{\n{javascript_bundle(GLOBALS, VEGA_LITE)}\n}})();\n"
    notice = NOTICE.format(
        vega=get_vega_version(), vega_lite=VEGA_LITE, vega_embed=get_vega_embed_version()
    )
    vega = notice + code
    write_text(script, vega)
    write_text(template, dvc_page(vega))
    click.echo(f"{script} and {template}: Vega-Lite {VEGA_LITE}, {len(vega) / 1e6:.2f} MB each")


def dvc_page(vega: str) -> str:
    """The template of `dvc plots`, which puts its plots where the placeholder stands."""
    # DVC replaces these three by name; {scripts} is left out, for it would name a CDN.
    return PAGE.format(vega=vega, refresh_tag="{refresh_tag}", plot_divs="{plot_divs}")


if __name__ == "__main__":
    main()
