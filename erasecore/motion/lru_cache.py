"""What was worked out for the frames used last, kept while it is likely to be asked for again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """Values of the frames (or pairs of frames) used last, made when asked for.

    Args:
        make: gives the value for a key.
        size: how many values are kept; the one unused for longest goes first.
    """

    def __init__(self, make: Callable[[Key], Value], size: int = 20) -> None:
        self._make, self._size = make, size
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __getitem__(self, key: Key) -> Value:
        if key in self._values:
            self._values.move_to_end(key)
        else:
            self._values[key] = self._make(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return self._values[key]
