"""The trained parameters of a network as a list of tensors, with the layers that each holds."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import Model, PyTree

Arrays = list[Array]
"""One array per trained tensor."""


class TrainedTensor(NamedTuple):
    """A trained parameter, which holds one tensor or a stack with one for each layer of a loop."""

    path: str
    shape: tuple[int, ...]
    stack_axes: tuple[int, ...]
    """Axes that enumerate the layers of a stack."""
    is_kernel: bool
    """Whether each of its tensors has two axes or more, and is not a bias or a scale."""

    @property
    def names(self) -> list[str]:
        """The path, with the index of the layer if there are several."""
        indices = product(*(range(self.shape[axis]) for axis in self.stack_axes))
        return [self.path + "".join(f"[{each}]" for each in index) for index in indices]

    def sum(self, values: Array) -> Array:
        """Return sums over each tensor of the stack, with all axes kept.

        Args:
          values: an array of the shape of the parameter.
        """
        axes = tuple(axis for axis in range(values.ndim) if axis not in self.stack_axes)
        return jnp.sum(values, axis=axes, keepdims=True)


class TrainedTensors:
    """The trained parameters of a network in float32, which can be varied and put back.

    Args:
      method: name of the method, for messages.
      model: the network.
      params: its parameters.

    Raises:
      ValueError: if nothing is trained.

    >>> from jinit.model import trace
    >>> model = trace(lambda p, x: x @ p["w"], {"w": jnp.ones((4, 3))}, jnp.ones((8, 4)))
    >>> tensors = TrainedTensors("gradinit", model, {"w": jnp.ones((4, 3))})
    >>> tensors.tensors[0].names, round(float(tensors.norms(tensors.values)[0][0, 0]) ** 2, 4)
    (['w'], 12.0)
    """

    tensors: tuple[TrainedTensor, ...]
    values: Arrays
    """The parameters in float32, or in their own precision if that is higher."""

    def __init__(self, method: str, model: Model, params: PyTree) -> None:
        self._leaves, self._structure = jax.tree.flatten(params)
        self.tensors = read_tensors(model)
        if not self.tensors:
            raise ValueError(
                f"{method}: none of the model's {len(self._leaves)} parameters is trained; it "
                "needs at least one floating-point array that is not state"
            )
        self._indices = [model.paths.index(tensor.path) for tensor in self.tensors]
        given = [jnp.asarray(self._leaves[index]) for index in self._indices]
        self.values = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in given]

    def join(self, values: Sequence[Array]) -> PyTree:
        """Return the parameters in their own precision, with other values of the trained ones.

        Args:
          values: one array per trained parameter.
        """
        leaves = list(self._leaves)
        for index, value in zip(self._indices, values, strict=True):
            leaves[index] = value.astype(leaves[index].dtype)
        return jax.tree.unflatten(self._structure, leaves)

    def norms(self, values: Sequence[Array]) -> Arrays:
        """Return the norm of each tensor, in arrays that broadcast to the parameters.

        Args:
          values: one array per trained parameter.
        """
        return [jnp.sqrt(each) for each in self.products(values, values)]

    def products(self, first: Sequence[Array], second: Sequence[Array]) -> Arrays:
        """Return the inner product of each tensor with another, in arrays that broadcast to them.

        Args:
          first: one array per trained parameter.
          second: one array per trained parameter.
        """
        triples = zip(self.tensors, first, second, strict=True)
        return [tensor.sum(left * right) for tensor, left, right in triples]


def read_tensors(model: Model) -> tuple[TrainedTensor, ...]:
    """Return the trained parameters of a network, in the order of its paths.

    Args:
      model: the network.
    """
    leaves = zip(model.paths, jax.tree.leaves(model.params), strict=True)
    return tuple(
        _read_tensor(model, path)
        for path, leaf in leaves
        if jnp.issubdtype(leaf.dtype, jnp.floating) and path not in model.untrained_paths
    )


def in_one_row(numbers: Sequence[Array]) -> Array:
    """Return one number per tensor, in the order of the tensors' names.

    Args:
      numbers: one array per parameter, with one entry for each tensor that it holds.

    >>> in_one_row([jnp.ones((2, 1, 1)), jnp.zeros((1, 1))]).tolist()
    [1.0, 1.0, 0.0]
    """
    return jnp.concatenate([each.reshape(-1) for each in numbers])


def _read_tensor(model: Model, path: str) -> TrainedTensor:
    leaf = model.leaf(path)
    is_known = leaf.role in ("kernel", "bias", "scale")
    stacked = tuple(axis for axis, role in enumerate(leaf.axes) if is_known and role == "stacked")
    is_kernel = len(leaf.shape) - len(stacked) >= 2 and leaf.role not in ("bias", "scale")
    return TrainedTensor(path, tuple(leaf.shape), stacked, is_kernel)
