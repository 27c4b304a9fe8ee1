"""Filters that are made from vectors: directions, cluster centers, and the vectors themselves."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

_LEAST_VARIANCE = 1e-6
"""Smallest variance along a direction that is whitened, in units of the mean variance."""
_WHITENING = 1e-3
"""Variance that is added along every direction before whitening, in the same units."""
_ROUNDING = 1e-5
"""Length of a row, in units of the longest one, below which it counts as zero."""
_KMEANS_STEPS = 10
"""Steps of k-means."""


class _Vectors(NamedTuple):
    """Centered vectors of unit mean variance, with their principal directions."""

    entries: Array
    """The vectors, `(number, size)`."""
    directions: Array
    """One direction per row, `(size, size)`, the largest variance first."""
    roots: Array
    """Factor along each direction that whitens; 0 where there is no variance."""

    @property
    def whitened(self) -> Array:
        """The vectors by their whitened coordinates along the directions."""
        return (self.entries @ self.directions.T) * self.roots[None]

    def unwhiten(self, rows: Array) -> Array:
        """Return filters of the vectors for filters of their whitened coordinates."""
        return (rows * self.roots[None]) @ self.directions


@jax.custom_batching.sequential_vmap
def _principal_directions(covariance: Array) -> tuple[Array, Array]:
    """Return variances and directions, the largest first; one matrix after the other under vmap.

    The largest entry of a direction is positive, because its sign is otherwise left to rounding.
    jax 0.10.0 to 0.11.0 on CPU can deadlock when one program holds several batched LAPACK calls.
    """
    variances, columns = jnp.linalg.eigh(covariance)
    rows = columns.T[::-1]
    largest = jnp.take_along_axis(rows, jnp.argmax(jnp.abs(rows), 1)[:, None], 1)
    return variances[::-1], jnp.where(largest < 0, -rows, rows)


def _read_vectors(vectors: Array) -> _Vectors:
    centered = vectors - vectors.mean(0, keepdims=True)
    variance = jnp.mean(centered**2)
    entries = centered / jnp.sqrt(jnp.where(variance > 0, variance, 1))
    covariance = jnp.matmul(entries.T, entries, precision="highest") / len(entries)
    variances, directions = _principal_directions(covariance)
    is_used = variances >= _LEAST_VARIANCE
    roots = jnp.where(is_used, 1 / jnp.sqrt(jnp.where(is_used, variances, 1) + _WHITENING), 0)
    return _Vectors(entries, directions, roots)


def _pca(key: Array, vectors: Array, normals: Array) -> Array:
    """Return principal directions, and whitened random ones where there are no more."""
    del key
    read, count = _read_vectors(vectors), len(normals)
    shown = min(count, read.directions.shape[0])
    rows = jnp.where(read.roots[:shown, None] > 0, read.directions[:shown], 0)
    return _replace_rows(read.unwhiten(normals), rows)


def _zca(key: Array, vectors: Array, normals: Array) -> Array:
    """Return random rows of the inverse root of the covariance, and whitened random directions."""
    read = _read_vectors(vectors)
    rows = read.directions.T @ (read.roots[:, None] * read.directions)
    chosen = jax.random.permutation(key, rows)[: len(normals)]
    return _replace_rows(read.unwhiten(normals), chosen)


def _kmeans(key: Array, vectors: Array, normals: Array) -> Array:
    """Return the centers of clusters of whitened vectors of length 1."""
    read = _read_vectors(vectors)
    white = read.whitened
    lengths = jnp.linalg.norm(white, axis=1, keepdims=True)
    points = white / jnp.where(lengths > 0, lengths, 1)
    first = jax.random.permutation(key, points)[: len(normals)]
    return read.unwhiten(find_centers(points, first, _KMEANS_STEPS))


def _random_patches(key: Array, vectors: Array, normals: Array) -> Array:
    """Return random vectors, centered."""
    centered = vectors - vectors.mean(0, keepdims=True)
    return _replace_rows(normals, jax.random.permutation(key, centered)[: len(normals)])


def _replace_rows(rows: Array, first: Array) -> Array:
    """Return rows with others in place of the first ones, but not those that are zero."""
    lengths = jnp.linalg.norm(first, axis=1, keepdims=True)
    is_kept = lengths > _ROUNDING * lengths.max(initial=0)
    kept = jnp.where(is_kept, first, rows[: len(first)])
    return jnp.concatenate([kept, rows[len(first) :]])


def find_centers(points: Array, centers: Array, steps: int) -> Array:
    """Return the centers of clusters after some steps of k-means.

    A center without points keeps its place.

    Args:
      points: the points, `(number, size)`.
      centers: the first centers, `(count, size)`.
      steps: number of steps.

    >>> points = jnp.array([[0.0], [1.0], [10.0], [11.0]])
    >>> find_centers(points, points[:2], 3).tolist()
    [[0.5], [10.5]]
    """

    def step(_: int, centers: Array) -> Array:
        half = 0.5 * jnp.sum(centers**2, 1)
        nearest = jnp.argmax(points @ centers.T - half[None], 1)
        belongs = jax.nn.one_hot(nearest, len(centers), dtype=points.dtype)
        counts, totals = belongs.sum(0)[:, None], belongs.T @ points
        return jnp.where(counts > 0, totals / jnp.where(counts > 0, counts, 1), centers)

    return jax.lax.fori_loop(0, steps, step, centers)


FILTERS: dict[str, Callable[[Array, Array, Array], Array] | None] = {
    "normal": None,
    "pca": _pca,
    "zca": _zca,
    "kmeans": _kmeans,
    "patches": _random_patches,
}
"""Functions of a key, vectors and normal filters that return filters; None for normal ones."""


def draw_filters(filters: str, key: Array, vectors: Array, count: int) -> Array:
    """Return filters, one per row; normal ones if there are fewer vectors than filters.

    Args:
      filters: a key of `FILTERS`.
      key: key of what is drawn.
      vectors: the vectors, `(number, size)`.
      count: number of filters.
    """
    normal_key, other_key = jax.random.split(key)
    normals = jax.random.normal(normal_key, (count, vectors.shape[1]))
    make = FILTERS[filters]
    is_enough = len(vectors) >= count
    return make(other_key, vectors, normals) if make is not None and is_enough else normals
