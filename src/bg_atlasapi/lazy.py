"""Attributes that are worked out when first read and may be assigned.

1.x handed out plain attributes: callers read, edit and assign them. ``kept`` works a value out once
and keeps it in ``_kept``; an assigned value goes to the instance itself. That difference is what
makes pickling cheap: what was worked out is left behind and worked out again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from bg_atlasapi.locks import OnceLock

_T = TypeVar("_T")


class Keeper:
    """Base of classes with ``kept`` attributes."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._once = OnceLock()


class kept(Generic[_T]):  # noqa: N801 - used as a decorator, like property
    """A lazily computed, assignable attribute of a ``Keeper``."""

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Keeper, owner: type) -> _T: ...
    def __get__(self, instance: Keeper | None, owner: type) -> Self | _T:
        if instance is None:
            return self
        if self._name in instance.__dict__:
            return instance.__dict__[self._name]  # type: ignore[no-any-return]
        try:
            return instance._kept[self._name]  # type: ignore[no-any-return]
        except KeyError:
            pass
        with instance._once:  # threads that ask together get the same object
            if self._name not in instance._kept:
                instance._kept[self._name] = self._compute(instance)
            return instance._kept[self._name]  # type: ignore[no-any-return]

    def __set__(self, instance: Keeper, value: _T) -> None:
        instance.__dict__[self._name] = value

    def __delete__(self, instance: Keeper) -> None:
        instance.__dict__.pop(self._name, None)
        instance._kept.pop(self._name, None)
