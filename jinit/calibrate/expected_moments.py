"""Mean and variance of every array of a network, followed through its traced operations."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate.layers import LayerSite
from jinit.calibrate.spread import Spread, combine
from jinit.model import ELEMENTWISE, VALUE_PRESERVING, Graph, Operation, Place, Scan, bodies

_SAME_ENTRIES = frozenset(
    {"reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "slice", "rev"}
    | {"dynamic_slice", "gather", "sort", "split", "top_k"}
)
"""Operations whose results have the entries of their first operand."""
_CALLS = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "jit", "pjit"})
_SUMS, _EXTREMES = ("reduce_sum", "cumsum"), ("reduce_max", "reduce_min", "argmax", "argmin")
_SIGNIFICANT = 16.0
"""Square of the standard errors from which the mean of a kernel is not taken for zero."""
_REDUCTIONS = frozenset({"reduce_sum", "reduce_max"})
_NORMALIZING = {"rsqrt": (0,), "sqrt": (0,), "log": (0,), "div": (1,), "stop_gradient": (0,)}
"""Operations that normalize by a reduction, and the operands that it may be."""
_COMPLEX = frozenset({"complex", "conj", "imag", "real"})
_MOST_ITERATIONS = 256
"""Iterations of a loop that are followed; later ones have the moments of the last of these."""


class ExpectedMoments:
    """The distributions of the arrays of a network, by its operations and by those of its inputs.

    Weights are independent of signals, and entries of one array are independent of each other. A
    product with a kernel has mean E[w] E[x] fan_in and variance fan_in (E[w²] E[x²] - E[w]² E[x]²);
    functions of one array are integrated over the normal number that they all depend on.

    Args:
      sites: the layers of the network.
      kernel_seconds: mean square of every applied kernel by place, with an axis for each loop.
      target: variance that each layer gets, if its kernel can be scaled.
    """

    def __init__(
        self, sites: Sequence[LayerSite], kernel_seconds: Mapping[Place, Array], target: float
    ) -> None:
        self._sites = {site.place: site for site in sites}
        self._seconds, self._target = kernel_seconds, target
        self.factors: dict[Place, list[Array]] = {}
        """Factor of every applied kernel by place, one for each iteration of its loops."""
        self.variances: dict[Place, list[Array]] = {}
        """Variance of the outputs with these factors, in the same form."""
        self._reduced: set[int | None] = set()
        self.unknown: dict[str, None] = {}
        """Names of the operations whose results are taken to have mean 0 and variance 1."""

    def follow(self, graph: Graph, inputs: Sequence[Spread], inside: Place = ()) -> list[Spread]:
        """Return the distributions of the outputs of a graph.

        Args:
          graph: the graph.
          inputs: the distributions of its inputs.
          inside: the loops that the graph is the body of.
        """
        values: dict[int, Spread] = dict(zip(graph.inputs, inputs, strict=True))
        values |= {name: _read_constant(value) for name, value in graph.constants.items()}

        def read(operand: Any) -> Spread:
            return values[operand] if isinstance(operand, int) else Spread.constant(operand.val)

        for position, operation in enumerate(graph.operations):
            operands = [read(operand) for operand in operation.operands]
            results = self._apply(graph, operation, operands, (*inside, position))
            values.update(zip(operation.results, results, strict=True))
        return [read(output) for output in graph.outputs]

    def _apply(
        self, graph: Graph, operation: Operation, operands: list[Spread], place: Place
    ) -> list[Spread]:
        if place in self._sites:
            return [self._apply_layer(self._sites[place], operands)]
        if operation.name == "scan":
            return self._run_loop(graph, operation, operands, place)
        if operation.name in _CALLS:
            body = graph.flatten_body(next(bodies(operation.params)))
            return self.follow(body, operands, (-1,))  # no layer has such a place
        rule = _find_rule(operation)
        if rule is None:
            self.unknown[operation.name] = None
            count = len(operation.results)
            return [Spread.normal(jnp.zeros(()), jnp.ones(())) for _ in range(count)]
        results = rule(operation, self._settle(operation, operands))
        bases = {each.base for each in operands if each.base is not None}
        if operation.name in _REDUCTIONS or (bases and bases <= self._reduced):
            self._reduced |= {each.base for each in results if each.base is not None}
        return results * len(operation.results) if len(results) == 1 else results

    def _settle(self, operation: Operation, operands: list[Spread]) -> list[Spread]:
        """Return the operands, with a reduction that normalizes as the number that it tends to.

        Such are the variance of a normalization, and the sum and the largest entry of softmax.
        """
        places = _NORMALIZING.get(operation.name, ())
        return [
            Spread.constant(each.mean) if place in places and each.base in self._reduced else each
            for place, each in enumerate(operands)
        ]

    def _apply_layer(self, site: LayerSite, operands: list[Spread]) -> Spread:
        """Return the outputs of a layer with the factor that gives them the target variance."""
        contraction = site.contraction
        kernel_operand = 1 - contraction.signal_operand
        signal, kernel = operands[contraction.signal_operand], operands[kernel_operand]
        done = self.factors.setdefault(site.place, [])
        seconds = self._seconds[site.place].reshape(-1)
        second = seconds[min(len(done), len(seconds) - 1)]
        terms = contraction.fan_in * _inside_share(site.operation, contraction.signal_operand)
        size = terms * second * signal.second
        can_scale = (size > 0) & jnp.isfinite(size)
        is_fixed = bool(site.reason) or not site.is_single
        factor = jnp.where(can_scale, jnp.sqrt(self._target / jnp.where(can_scale, size, 1)), 1.0)
        factor = jnp.ones(()) if is_fixed else factor
        # The mean of random weights is rounding error of their number; that of a constant is not.
        entries = math.prod(site.operation.operand_shapes[kernel_operand])
        has_mean = kernel.mean**2 * entries > _SIGNIFICANT * second
        mean = jnp.where(has_mean, terms * kernel.mean * signal.mean * factor, 0)
        variance = size * factor**2 - mean**2 / terms
        done.append(factor)
        self.variances.setdefault(site.place, []).append(variance)
        return Spread.normal(mean, variance)

    def _run_loop(
        self, graph: Graph, operation: Operation, operands: list[Spread], place: Place
    ) -> list[Spread]:
        scan = Scan.from_operation(operation, graph.flatten_body)
        first_stacked = scan.constant_count + scan.carry_count
        constants = operands[: scan.constant_count]
        carry, stacked = operands[scan.constant_count : first_stacked], operands[first_stacked:]
        results: list[list[Spread]] = []
        for _ in range(min(operation.params["length"], _MOST_ITERATIONS)):
            outputs = self.follow(scan.body, [*constants, *carry, *stacked], place)
            carry = outputs[: scan.carry_count]
            results.append(outputs[scan.carry_count :])
        columns = [list(column) for column in zip(*results, strict=True)]
        return [*carry, *(Spread.mixture(each, [1 / len(each)] * len(each)) for each in columns)]


def _read_constant(value: Any) -> Spread:
    """Return the distribution of a constant: its value if all its entries are equal."""
    if not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.number):
        return Spread.constant(jnp.zeros(()))
    return Spread.constant(value.ravel()[0]) if value.size == 1 else Spread.of_entries(value)


_Rule = Callable[[Operation, list[Spread]], list[Spread]]


def _find_rule(operation: Operation) -> _Rule | None:
    name = operation.name
    if name in _SAME_ENTRIES:
        return lambda _, operands: [operands[0]]
    if name in ELEMENTWISE and name not in _COMPLEX:
        return _combine_entries
    if name in _SUMS or name == "reduce_window_sum":
        return _add_up
    if name in _EXTREMES or name in ("reduce_window_max", "reduce_window"):
        return _take_extreme
    return _RULES.get(name)


def _combine_entries(operation: Operation, operands: list[Spread]) -> list[Spread]:
    if len(operation.results) > 1:  # a barrier
        return list(operands)
    if operation.name in VALUE_PRESERVING and "float" in operation.dtypes[0]:
        return [operands[0].map(lambda values: values.astype(jnp.float32))]
    return [combine(lambda arrays: operation.bind(_align(arrays))[0], operands)]


def _align(arrays: Sequence[Array]) -> list[Array]:
    """Return arrays whose numbers have one dtype; signals of all dtypes are kept in float32."""
    numbers = {array.dtype for array in arrays if array.dtype != bool}
    if len(numbers) <= 1:
        return list(arrays)
    return [array if array.dtype == bool else array.astype(jnp.float32) for array in arrays]


def _add_up(operation: Operation, operands: list[Spread]) -> list[Spread]:
    """Return sums of independent entries."""
    entries = operands[0]
    count = _terms(operation)
    if entries.base is None:
        return [entries.map(lambda value: count * value)]
    return [Spread.normal(count * entries.mean, count * entries.variance)]


def _take_extreme(operation: Operation, operands: list[Spread]) -> list[Spread]:
    entries, count = operands[0], round(_terms(operation))
    if operation.name.endswith("min"):
        return [entries.map(jnp.negative).largest(count).map(jnp.negative)]
    return [entries.largest(count)]


def _terms(operation: Operation) -> float:
    """Return the number of entries that one entry of a reduction is made of."""
    if "window_dimensions" in operation.params:
        return math.prod(operation.params["window_dimensions"])
    if operation.name == "cumsum":
        return (operation.operand_shapes[0][operation.params["axis"]] + 1) / 2
    return math.prod(operation.operand_shapes[0]) / max(math.prod(operation.shapes[0]), 1)


def _multiply_signals(operation: Operation, operands: list[Spread]) -> list[Spread]:
    """Return sums of products of two signals."""
    first, second = operands
    if operation.name == "conv_general_dilated":
        terms = math.prod(operation.operand_shapes[1]) / operation.shapes[0][-1]
    else:
        axes = operation.dot_dimension_numbers[0][0]
        terms = math.prod(operation.operand_shapes[0][axis] for axis in axes)
    mean = first.mean * second.mean
    return [Spread.normal(terms * mean, terms * (first.second * second.second - mean**2))]


def _join(operation: Operation, operands: list[Spread]) -> list[Spread]:
    sizes = [math.prod(shape) for shape in operation.operand_shapes]
    return [Spread.mixture(operands, [size / sum(sizes) for size in sizes])]


def _pad(operation: Operation, operands: list[Spread]) -> list[Spread]:
    share = math.prod(operation.operand_shapes[0]) / max(math.prod(operation.shapes[0]), 1)
    return [operands[0]] if share >= 1 else [Spread.mixture(operands, [share, 1 - share])]


def _iota(operation: Operation, operands: list[Spread]) -> list[Spread]:
    del operands
    size = operation.params["shape"][operation.params["dimension"]]
    return [Spread.normal(jnp.full((), (size - 1) / 2), jnp.full((), (size**2 - 1) / 12))]


def _overwrite(operation: Operation, operands: list[Spread]) -> list[Spread]:
    """Return arrays of which some entries are replaced by others."""
    update = operands[1] if operation.name == "dynamic_update_slice" else operands[2]
    place = 1 if operation.name == "dynamic_update_slice" else 2
    sizes = [math.prod(operation.operand_shapes[each]) for each in (0, place)]
    share = min(sizes[1] / max(sizes[0], 1), 1.0)
    return [Spread.mixture([operands[0], update], [1 - share, share])]


_RULES: dict[str, _Rule] = {
    "dynamic_update_slice": _overwrite,
    "scatter": _overwrite,
    "dot_general": _multiply_signals,
    "conv_general_dilated": _multiply_signals,
    "concatenate": _join,
    "pad": _pad,
    "iota": _iota,
}


def _inside_share(operation: Operation, signal: int) -> float:
    """Return the mean share of a convolution's window inside its input; 1 for products."""
    if operation.name != "conv_general_dilated":
        return 1.0
    numbers, params = operation.params["dimension_numbers"], operation.params
    share = 1.0
    for place, axis in enumerate(numbers.lhs_spec[2:]):
        size = operation.operand_shapes[signal][axis]
        taps = operation.operand_shapes[1 - signal][numbers.rhs_spec[2 + place]]
        outputs = operation.shapes[0][numbers.out_spec[2 + place]]
        low, stride = params["padding"][place][0], params["window_strides"][place]
        spacing, dilation = params["rhs_dilation"][place], params["lhs_dilation"][place]
        positions = stride * np.arange(outputs)[:, None] + spacing * np.arange(taps) - low
        is_inside = (positions >= 0) & (positions <= dilation * (size - 1))
        share *= float(np.mean(is_inside & (positions % dilation == 0)))
    return share
