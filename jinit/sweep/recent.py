"""The most recent values of a computation that is worth keeping, such as compiled programs."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T")

# A process may have 65,530 memory maps on Linux, and a program of a few layers takes a hundred.
_MOST_VALUES = 16


class Recent(Generic[_T]):
    """Values by key, of which the most recent ones are kept.

    >>> recent = Recent()
    >>> recent.find("a", lambda: 1), recent.find("a", lambda: 2)
    (1, 1)
    """

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, _T] = OrderedDict()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Recent, ()  # compiled programs stay in their process

    def find(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Return the value of a key, computed if it is not kept.

        Args:
          key: names the value.
          compute: returns the value.
        """
        if key not in self._values:
            self._values[key] = compute()
            if len(self._values) > _MOST_VALUES:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]
