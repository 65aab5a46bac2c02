"""What every HTML page shares: one look (`base.html`), escaping, pictures carried inside.

A page is one file that loads nothing from elsewhere. Its template lies beside the code that fills
it, extends `base.html`, and adds its own rules in the block `style`.
"""

from __future__ import annotations

import base64
from pathlib import Path


def render(template: Path, **values: object) -> str:
    """The page of a template file; every value is escaped, an unknown one is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def data_uri(data: bytes, mime: str = "image/jpeg") -> str:
    """The bytes as an address that carries them."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
