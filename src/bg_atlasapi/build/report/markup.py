"""HTML from Python, in which text is escaped unless it was made here.

Names of regions come from files of anybody's: what is not ``Markup`` is text, whatever it looks
like.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

Content = object  # text, Markup, a number, None, or an iterable of these
_VOID = {"img", "input", "meta", "br", "col"}


class Markup(str):
    """HTML that was made here."""

    __slots__ = ()


def text(content: Content) -> Markup:
    """Return content as HTML: text escaped, ``Markup`` as it is, None as nothing."""
    if isinstance(content, Markup):
        return content
    if content is None:
        return Markup()
    if isinstance(content, str):
        return Markup(html.escape(content.replace("\0", "")))
    if isinstance(content, Iterable):
        return Markup("".join(text(one) for one in content))
    return Markup(html.escape(str(content)))


def element(name: str, /, *content: Content, **attributes: object) -> Markup:
    """Return an element.

    Parameters
    ----------
    name
        Such as ``"p"``.
    *content
        What stands in it.
    **attributes
        By name, ``_`` for ``-``, a ``_`` at the end left out (``class_``); None and False leave
        one out, True gives it without a value.
    """
    spelt = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        quoted = "" if value is True else f'="{html.escape(str(value))}"'
        spelt.append(f" {attribute}{quoted}")
    opened = f"<{name}{''.join(spelt)}>"
    return Markup(opened if name in _VOID else f"{opened}{text(content)}</{name}>")
