"""Spaces of drawn configurations: a random search and a Sobol sequence."""

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jinit.sweep.axis_checks import check_axis, read_axis
from jinit.sweep.axis_values import value_identity
from jinit.sweep.between import Between
from jinit.sweep.counts import as_integer, check_count
from jinit.sweep.space import Space


@dataclass(frozen=True)
class _Choices:
    """Values that are equally likely."""

    values: tuple[Any, ...]

    @property
    def count(self) -> int:
        return len(self.values)

    def quantile(self, probability: float) -> Any:
        return self.values[int(probability * len(self.values))]


_Distributions = Mapping[str, _Choices | Between]


def random_search(n: int, *, seed: int = 0, **axes: Iterable[Any] | Between) -> Space:
    """Return the space of `n` random configurations.

    Every axis has random numbers of its own, from `seed` and its name: the first configurations are
    the same for every `n`, and a new axis leaves the values of the others as they were. A
    configuration that was drawn before is replaced by the next draw of all axes.

    Args:
      n: number of configurations.
      seed: seed of the draws; that of training is `Sweep(seeds=...)`.
      **axes: a list of values, which are equally likely, or `jinit.between(low, high)`. A list of
        one is a constant.

    Returns:
      The space, of `n` distinct configurations.

    Raises:
      ValueError: if `n` or `seed` is not such a number, an axis cannot work, or there are fewer
        than `n` distinct configurations.

    Reference:
      J. Bergstra and Y. Bengio, Random search for hyper-parameter optimization, JMLR 13 (2012).

    >>> from jinit.sweep.between import between
    >>> space = random_search(8, init=["he_normal", "orthogonal"], lr=between(1e-4, 0.1, log=True))
    >>> len(space.configs()), all(1e-4 <= config["lr"] <= 0.1 for config in space.configs())
    (8, True)
    """
    n, seed = _check_numbers("random_search", n, seed)
    found = _read_axes("random_search", axes)
    return _draw("random_search", n, found, _random_points(seed, tuple(found)))


def sobol(n: int, *, seed: int = 0, **axes: Iterable[Any] | Between) -> Space:
    """Return the space of the first `n` configurations of a scrambled Sobol sequence.

    The sequence covers the space more evenly than random draws. It is balanced if `n` is a power of
    two: then every choice, and every half of a range, occurs equally often if their number is a
    power of two as well. The first configurations are the same for every `n`. A new axis changes
    the values of the others, unless it is a list of one value.

    Args:
      n: number of configurations, best a power of two.
      seed: seed of the scrambling; that of training is `Sweep(seeds=...)`.
      **axes: a list of values or `jinit.between(low, high)`, as for `jinit.random_search`.

    Returns:
      The space, of `n` distinct configurations.

    Raises:
      ValueError: if `n` or `seed` is not such a number, an axis cannot work, or there are fewer
        than `n` distinct configurations.

    Reference:
      A. B. Owen, Scrambling Sobol' and Niederreiter-Xing points, J. Complexity 14 (1998).

    >>> from jinit.sweep.between import between
    >>> values = [config["l2"] for config in sobol(8, l2=between(0.0, 1.0)).configs()]
    >>> sorted(int(8 * value) for value in values)  # one in every eighth
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    n, seed = _check_numbers("sobol", n, seed)
    found = _read_axes("sobol", axes)
    varying = tuple(name for name, each in found.items() if each.count > 1)
    return _draw("sobol", n, found, _sobol_points(n, seed, varying))


def _check_numbers(place: str, n: int, seed: int) -> tuple[int, int]:
    checked = as_integer(seed)
    if checked is None or checked < 0:
        raise ValueError(
            f"{place}: seed: expected an integer of at least 0, got {seed!r}; the seeds of "
            "training are given to Sweep(..., seeds=8)"
        )
    return check_count(f"{place}: n", n), checked


def _read_axes(place: str, axes: Mapping[str, Any]) -> _Distributions:
    if not axes:
        raise ValueError(f"{place}: no axes; give at least one, such as lr=between(0.001, 0.1)")
    return {name: _read_distribution(place, name, values) for name, values in axes.items()}


def _read_distribution(place: str, name: str, values: Any) -> _Choices | Between:
    if isinstance(values, Between) and name not in ("seed", "seeds", "init", "optimizer"):
        return values
    choices = read_axis(place, name, values)
    check_axis(place, name, choices)
    return _Choices(choices)


def _random_points(seed: int, names: tuple[str, ...]) -> Iterator[dict[str, float]]:
    """Yield uniform numbers of every axis, from one random stream for each name."""
    streams = {name: np.random.default_rng([seed, *_name_words(name)]) for name in names}
    while True:
        yield {name: stream.random() for name, stream in streams.items()}


def _name_words(name: str) -> list[int]:
    """Return numbers that depend on the name only, in every process and on every machine."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.frombuffer(digest, "<u4").tolist()


def _sobol_points(n: int, seed: int, names: tuple[str, ...]) -> Iterator[dict[str, float]]:
    """Yield the points of a scrambled Sobol sequence; it has one dimension for each name."""
    from scipy.stats import qmc  # heavy: it would double the time of `import jinit`

    sampler = qmc.Sobol(max(len(names), 1), rng=np.random.default_rng(seed))
    power = (n - 1).bit_length()
    # Blocks whose total is a power of two: SciPy warns of all others.
    for exponent in itertools.chain([power], itertools.count(power)):
        for point in sampler.random_base2(exponent):
            yield dict(zip(names, point.tolist(), strict=False))


def _draw(place: str, n: int, axes: _Distributions, points: Iterator[dict[str, float]]) -> Space:
    """Return the first `n` distinct configurations at points of the unit cube."""
    count = math.prod(each.count for each in axes.values())
    if count < n:
        raise ValueError(
            f"{place}: the axes have only {count} distinct configurations, fewer than n={n}: "
            "run all of them with jinit.grid(...), or give a smaller n"
        )
    rows: dict[tuple[Any, ...], tuple[tuple[str, Any], ...]] = {}
    while len(rows) < n:
        point = next(points)
        row = tuple((name, each.quantile(point.get(name, 0.0))) for name, each in axes.items())
        rows.setdefault(tuple(value_identity(value) for _, value in row), row)
    return Space(tuple(rows.values()))
