"""numpy, and names of other modules, imported when they are first used.

Opening an atlas reads two small files and checks them in plain Python; importing numpy would take
three quarters of the time. Modules that an open loads say ``from bg_atlasapi.late import np``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["found_in", "np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _Late:
        """Stands for numpy; keeps what was looked up, so that the next look costs nothing."""

        def __getattr__(self, name: str) -> Any:
            import numpy  # noqa: ICN001 - the purpose of this module

            value = getattr(numpy, name)
            self.__dict__[name] = value
            return value

    np = _Late()


def found_in(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that offers what others define.

    Parameters
    ----------
    module
        Its name.
    homes
        The module that each name is imported from when it is first asked for.
    """

    def found(name: str) -> Any:
        if name not in homes:
            message = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(homes[name]), name)

    return found
