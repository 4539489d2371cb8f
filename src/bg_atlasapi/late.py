"""numpy, imported when it is first used.

Opening an atlas reads two small files and checks them in plain Python; importing numpy would take
three quarters of the time. Modules that an open loads say ``from bg_atlasapi.late import np``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["np"]

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
