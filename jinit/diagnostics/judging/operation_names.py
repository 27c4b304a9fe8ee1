"""Operations of a computation in words, with what they are applied to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jinit.model import Dataflow, FlowValue, Operation, Place

_COPIES = frozenset({"broadcast_in_dim", "convert_element_type", "copy", "reshape", "squeeze"})
"""Operations that a constant passes unchanged."""
_SUMS = frozenset({"add", "sub", "add_any"})
_PRODUCTS = frozenset({"mul", "dot_general", "conv_general_dilated"})
_POWERS = frozenset({"integer_pow", "pow", "square", "exp", "exp2"})
_PLAIN = {
    "scatter-add": "segment_sum (scatter-add)",
    "scatter_add": "segment_sum (scatter-add)",
    "concatenate": "the concatenation",
    "select_n": "jnp.where",
    "stop_gradient": "stop_gradient",
    "while": "a while loop",
    "cond": "a branch (lax.cond)",
    "scan": "a loop (lax.scan)",
    "logistic": "sigmoid",
    "max": "max of two results",
    "min": "min of two results",
    "sqrt": "sqrt",
    "rsqrt": "the division by a square root (rsqrt)",
    "clamp": "jnp.clip",
    "reduce_max": "the maximum",
    "reduce_min": "the minimum",
    "reduce_prod": "the product of entries (jnp.prod)",
    "lt": "a comparison",
    "le": "a comparison",
    "gt": "a comparison",
    "ge": "a comparison",
    "eq": "a comparison",
    "ne": "a comparison",
    "conv_general_dilated": "a convolution of two signals",
}
_MANY_SIGNALS = {
    "mul": "the product of two signals",
    "div": "the division of two signals",
    "dot_general": "the matrix product of two signals",
    "add": "the sum of two signals",
    "add_any": "the sum of two signals",
    "sub": "the difference of two signals",
}
_ALONG_AXIS = ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "argmax", "argmin", "sort")


@dataclass(frozen=True)
class OperationNamer:
    """Names for the operations of one computation."""

    flow: Dataflow
    layer_name: Callable[[Place], str]
    """Name of the layer at a place."""
    parameter_paths: Sequence[str]
    """Paths of the parameters, which are the first inputs of the computation."""

    def text(self, place: Place) -> str:
        """Return what an operation is, such as `the factor 4` or `the sum over axis 0`."""
        operation = self.flow.operation(place)
        name = operation.name
        if name in ("mul", "div", "pow", "dot_general", *_SUMS):
            return self._binary_text(place, operation)
        if name == "reduce_sum":
            return f"the sum over {_axes_text(operation.params['axes'])}"
        if name == "integer_pow":
            return f"the power {operation.params['y']}"
        if name == "convert_element_type":
            return f"the conversion to {operation.dtypes[0]}"
        if name in _ALONG_AXIS:
            return f"{name} over {_axes_text(_axes(operation.params))}"
        if name.startswith("custom_"):
            return _custom_name(operation)
        return _PLAIN.get(name, name)

    def _binary_text(self, place: Place, operation: Operation) -> str:
        operands = self.flow.operands(place)
        constants = [_constant(self.flow, operand) for operand in operands]
        known = next((value for value in constants if value is not None), None)
        name = operation.name
        if known is not None and name == "mul":
            return f"the factor {known:.4g}"
        if constants[1] is not None and name in ("div", "pow"):
            return f"the {'division by' if name == 'div' else 'power'} {constants[1]:.4g}"
        if len({each for operand in operands for each in self._layer_names(operand)}) > 2:
            return _MANY_SIGNALS.get(name, f"{name} of two signals")
        first, second = map(self.source_text, operands)
        if name in _SUMS:
            return f"the sum of {_pair_text(first, second)}"
        if name == "div":
            return f"the division of {first} by {second}"
        if name == "pow":
            return f"the power of {first} to {second}"
        inputs = [each for each in (first, second) if each.startswith(("input ", "the parameter"))]
        kind = "matrix product" if name == "dot_general" else "product"
        if inputs and first != second:
            return f"the {kind} with {inputs[0]}"
        return f"the {kind} of {_pair_text(first, second)}"

    def source_text(self, signal: FlowValue) -> str:
        """Return what a signal is computed from: layers, an input, a parameter or a constant."""
        value = _constant(self.flow, signal)
        if value is not None:
            return f"{value:.4g}"
        names = self._layer_names(signal)
        if names:
            shown = " and ".join(names[:2])
            return f"the result of {shown}" if len(names) == 1 else f"the results of {shown}"
        inputs = self._input_numbers(signal)
        count = len(self.parameter_paths)
        signals = [f"input {number - count}" for number in inputs if number >= count]
        paths = [
            f"the parameter {self.parameter_paths[number]}" for number in inputs if number < count
        ]
        return (signals or paths or ["a constant"])[0]

    def depends_on_parameters(self, signal: FlowValue) -> bool:
        """Return whether a signal is computed from parameters or results of layers."""
        count = len(self.parameter_paths)
        is_parameter = any(number < count for number in self._input_numbers(signal))
        return is_parameter or bool(self._layer_names(signal))

    def is_signal(self, signal: FlowValue) -> bool:
        """Return whether a value is computed from inputs of the network or results of layers."""
        count = len(self.parameter_paths)
        is_input = any(number >= count for number in self._input_numbers(signal))
        return is_input or bool(self._layer_names(signal))

    def multiplies_signals(self, place: Place) -> bool:
        """Return whether an operation is a product or a power of signals, which compounds."""
        if self.flow.operation(place).name in _POWERS:
            return True
        operands = self.flow.operands(place)
        is_product = self.flow.operation(place).name in _PRODUCTS
        return is_product and all(map(self._layer_names, operands))

    def scale_path(self, place: Place) -> str:
        """Return the path of the parameter that an operation multiplies a signal with.

        It is empty if the operation is another one.
        """
        if self.flow.operation(place).name != "mul":
            return ""
        for operand in self.flow.operands(place):
            numbers = self._input_numbers(operand)
            if len(numbers) == 1 and not self.is_signal(operand):
                return self.parameter_paths[numbers[0]]
        return ""

    def _layer_names(self, signal: FlowValue) -> list[str]:
        places = self.flow.operations_before([signal])
        return [self.layer_name(place) for place in places if place in self.flow.layers]

    def _input_numbers(self, signal: FlowValue) -> list[int]:
        numbers = set(self.flow.producers(signal).inputs)
        for place in self.flow.operations_before([signal]):
            if place not in self.flow.layers:
                for operand in self.flow.operands(place):
                    numbers.update(self.flow.producers(operand).inputs)
        return sorted(numbers)


def is_sum(operation: Operation) -> bool:
    """Return whether an operation adds two arrays."""
    return operation.name in _SUMS


def _pair_text(first: str, second: str) -> str:
    return f"{first} with itself" if first == second else f"{first} and {second}"


def _axes_text(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def _axes(params: Mapping[str, Any]) -> Sequence[int]:
    return params.get("axes") or (params.get("axis", params.get("dimension", 0)),)


def _custom_name(operation: Operation) -> str:
    body = operation.params.get("call_jaxpr")
    equations = body.jaxpr.eqns if body is not None else []
    names = [each.params["name"] for each in equations if "name" in each.params]
    return names[0] if names else "a function with a derivative of its own"


def _constant(flow: Dataflow, signal: FlowValue) -> float | None:
    """Return the number that a signal is everywhere, if the computation states one."""
    graph, operand = flow.body(signal.outer), signal.operand
    while isinstance(operand, int):
        if operand in graph.constants:
            return _only_entry(graph.constants[operand])
        operation = graph.producers.get(operand)
        if operation is None or operation.name not in _COPIES:
            return None
        operand = operation.operands[0]
    return _only_entry(operand.val)


def _only_entry(value: Any) -> float | None:
    if np.size(value) != 1 or not np.issubdtype(np.asarray(value).dtype, np.number):
        return None
    return float(np.real(np.asarray(value)).ravel()[0])
