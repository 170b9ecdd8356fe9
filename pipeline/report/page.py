"""The view as one HTML file that needs nothing else, and may load nothing else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from pipeline.core.files import canonical_json
from pipeline.report.examples import MOST_CHARACTERS
from pipeline.report.view import View

_ASSETS = files("pipeline.report") / "assets"


def render_page(view: View) -> str:
    """The page, every text in it escaped, its scripts and its style allowed by their digests."""
    style, vega, script = (_asset(name) for name in ("page.css", "vega.js", "page.js"))
    environment = Environment(
        loader=DictLoader({"page.html": _asset("page.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        view=view,
        policy=content_security_policy(scripts=(vega, script), styles=(style,)),
        # Ours: files of this package, which test_page.py shows to hold no end tag.
        style=Markup(style),  # noqa: S704
        vega=Markup(vega),  # noqa: S704
        script=Markup(script),  # noqa: S704
        data=Markup(script_json(view.data)),  # noqa: S704
        limits={"characters": MOST_CHARACTERS},
    )


def content_security_policy(*, scripts: tuple[str, ...], styles: tuple[str, ...]) -> str:
    """Policy that loads nothing and runs nothing but these scripts, not even ``eval``."""
    allowed = {"script-src": scripts, "style-src": styles}
    return "; ".join(
        [
            "default-src 'none'",
            *(f"{what} {' '.join(map(_digest, texts))}" for what, texts in allowed.items()),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def script_json(value: object) -> str:
    r"""JSON that stays data inside a ``script`` element: ``<``, ``>`` and ``&`` as ``\u00xx``."""
    text = canonical_json(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
