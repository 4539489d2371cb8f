"""Tell mkdocstrings that a method decorated with ``kept`` is an attribute.

``bg_atlasapi.lazy.kept`` works like ``property``, but can be assigned; griffe, which reads the code
without running it, takes such a method for a function.
"""

from __future__ import annotations

from typing import Any

from griffe import Attribute, Class, Extension, Function


class Kept(Extension):
    """Replace ``kept`` methods by attributes of the type they return."""

    def on_class(self, *, cls: Class, **_kwargs: Any) -> None:
        """Look through the members of one class."""
        for name, member in list(cls.members.items()):
            if isinstance(member, Function) and _is_kept(member):
                attribute = Attribute(
                    name,
                    lineno=member.lineno,
                    endlineno=member.endlineno,
                    annotation=member.returns,
                    docstring=member.docstring,
                    parent=cls,
                )
                attribute.labels.add("assignable")
                cls.set_member(name, attribute)


def _is_kept(function: Function) -> bool:
    return any(str(decorator.value) == "kept" for decorator in function.decorators)
