"""Pages: HTML that is rendered from a template and a style sheet, and loads nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources

import jinja2

from tfx_best_exporter.executor.reports import wording


def rendered(package: str, template: str, style: str, **variables: object) -> str:
    """Returns a page with its style sheet inside.

    Texts are shown as text, even if they contain markup.

    Args:
        package: Package with the two files.
        template: Name of the template. It gets the style sheet as `style`, and the digest that a
            content security policy allows as `style_digest`.
        style: Name of the style sheet.
        **variables: Variables of the template.

    Raises:
        jinja2.UndefinedError: The template uses a variable that is not set.
    """
    sheet = text_of(package, style)
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return _template(package, template).render(style=sheet, style_digest=digest, **variables)


@functools.cache
def text_of(package: str, name: str) -> str:
    """Returns the text of a file in a package."""
    return (importlib.resources.files(package) / name).read_text(encoding="utf-8")


@functools.cache
def _template(package: str, name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(functools.partial(text_of, package)),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(count=wording.count, name=wording.name, text=wording.text)
    return environment.get_template(name)
