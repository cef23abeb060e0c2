"""Least-recently-used cache that computes missing values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """Least-recently-used (LRU) cache of values per frame or pair of frames, computed on access.

    Args:
        make: computes the value of a key.
        size: largest number of values kept; the least recently used one is dropped first.
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
