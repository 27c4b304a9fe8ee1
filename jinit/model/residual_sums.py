"""Find the sums of a residual stream and the output of a branch, in a computation and its loops."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinit.model.control_flow import carried_inputs, trip_count
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, value_numbers
from jinit.model.origins import (
    Origins,
    first_origin,
    kernel_count,
    last_common,
    merge_origins,
    multiply_origins,
    set_bits,
)
from jinit.model.primitives import PRODUCTS, SUMS
from jinit.model.sum_readers import is_carried_on, is_sampled
from jinit.model.uses import Scope, Site


@dataclass(frozen=True, eq=False)
class FoundContraction:
    """A contraction and what its result is computed from."""

    scope: Scope
    position: int
    origins: Origins


@dataclass(eq=False)
class FoundSum:
    """A residual sum: two signals of one origin, of which one passed through fewer kernels."""

    scope: Scope
    position: int
    residual_stream: int
    """The operand that passed through fewer kernels: the origin itself, or a projection of it."""
    origin: int
    """The last origin of both operands."""
    stream: int
    """Number of the residual stream."""
    contractions: int
    """Bit mask of the contractions that only the branch depends on."""
    count: int = 1
    """Number of times it is computed in the loops that carry the residual stream."""

    @property
    def operation(self) -> Operation:
        """The addition."""
        return self.scope.graph.operations[self.position]


class SumSearch:
    """One pass over a computation in execution order, which collects its residual sums.

    Args:
      sites: all uses of parameters in the computation, from `find_sites`.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sums: list[FoundSum] = []
        self.contractions: dict[int, FoundContraction] = {}
        """The contractions, by the number of the origin that is their result."""
        self._kernels: dict[tuple[Scope, int], set[int]] = {}
        """The parameters that are applied at each position of a graph."""
        self._kernel_origins = self._contraction_origins = 0
        self._inner: dict[tuple[Scope, int], list[Scope]] = {}
        self._streams: list[int | None] = []
        """The residual stream that each origin carries."""
        self._stream_count = 0
        for site in sites:
            if site.is_contraction:
                place = (site.scope, site.position)
                self._kernels.setdefault(place, set()).add(site.use.leaf)
        for scope in _all_scopes(sites):
            if scope.parent is None:
                self._outermost = scope
            else:
                self._inner.setdefault((scope.parent, scope.place[-1]), []).append(scope)
        if sites:
            self._follow(self._outermost, [None] * len(self._outermost.graph.inputs))

    def _new_origin(self, stream: int | None = None) -> int:
        self._streams.append(stream)
        return len(self._streams) - 1

    def _new_stream(self) -> int:
        self._stream_count += 1
        return self._stream_count

    def _follow(self, scope: Scope, inputs: Sequence[Origins | None]) -> list[Origins | None]:
        """Return the origins of the outputs of a graph; None for what is not a real signal."""
        graph, values = scope.graph, dict[int, Origins]()
        for name, aval, given in zip(graph.inputs, graph.avals, inputs, strict=True):
            if scope.is_signal(name) and _is_inexact(str(aval.dtype)):
                values[name] = given or first_origin(self._new_origin())
        for position, operation in enumerate(graph.operations):
            arriving = [value for value in value_numbers(operation.operands) if value in values]
            before = {value: values[value] for value in arriving}
            after = self._visit(scope, position, before)
            for result, dtype, origins in zip(
                operation.results, operation.dtypes, after, strict=True
            ):
                if scope.is_signal(result) and _is_inexact(dtype):
                    values[result] = origins
        return [values.get(output) if isinstance(output, int) else None for output in graph.outputs]

    def _visit(self, scope: Scope, position: int, before: dict[int, Origins]) -> list[Origins]:
        """Return the origins of the results of an operation."""
        operation = scope.graph.operations[position]
        if (scope, position) in self._inner:
            return self._enter(scope, position, before)
        if operation.name in CONTRACTION_PRIMITIVES or (scope, position) in self._kernels:
            result = self._contract(scope, position, before)
        elif not before:
            result = first_origin(self._new_origin())
        elif operation.name in PRODUCTS and len(before) == 2:
            result = self._multiply(list(before.values()))
        elif operation.name in SUMS and len(before) == 2:
            result = self._add(scope, position, before)
        else:
            result = merge_origins(before.values())
        return [result] * len(operation.results)

    def _contract(self, scope: Scope, position: int, before: dict[int, Origins]) -> Origins:
        is_kernel, origin = (scope, position) in self._kernels, self._new_origin()
        if not before:
            result = first_origin(origin)
        elif is_kernel:
            result = merge_origins(before.values()).behind_kernel(origin)
        else:
            product = self._multiply(list(before.values()))
            result = product.with_origin(origin, product.stream)
            self._streams[origin] = product.stream
        self._contraction_origins |= 1 << origin
        self._kernel_origins |= is_kernel << origin
        self.contractions[origin] = FoundContraction(scope, position, result)
        return result

    def _multiply(self, factors: list[Origins]) -> Origins:
        product = multiply_origins(factors, self._kernel_origins)
        if product is not None:
            return product
        return merge_origins(factors).restarted(self._new_origin(), None)

    def _add(self, scope: Scope, position: int, before: dict[int, Origins]) -> Origins:
        """Return the origins of a sum, after noting it if it is a residual sum."""
        operation = scope.graph.operations[position]
        merged = merge_origins(before.values())
        stream = merged.stream
        short = _residual_stream(before)
        if short is not None and self._is_residual(scope, operation, short, before):
            stream = self._note_sum(scope, position, short, before)
        return merged.with_origin(self._new_origin(stream), stream)

    def _is_residual(
        self, scope: Scope, operation: Operation, short: int, before: dict[int, Origins]
    ) -> bool:
        """Return whether the longer term is a branch, and the sum is what layers read next."""
        (branch,) = set(before) - {short}
        return (
            not self._share_kernels(*before.values())
            and not is_sampled(scope, branch)
            and is_carried_on(scope, operation.results[0])
        )

    def _share_kernels(self, left: Origins, right: Origins) -> bool:
        """Return whether one parameter is applied on the way to either term, but not to both.

        The terms are then two steps of a recurrent network, not a projection and a branch.
        """
        both = left.every[-1] & right.every[-1]
        return bool(self._applied(left, both) & self._applied(right, both))

    def _applied(self, origins: Origins, excluded: int) -> set[int]:
        """Return the parameters of the contractions among some origins."""
        mask = origins.every[-1] & self._kernel_origins & ~excluded
        found = [self.contractions[origin] for origin in set_bits(mask)]
        return set().union(*(self._kernels[each.scope, each.position] for each in found))

    def _note_sum(
        self, scope: Scope, position: int, residual_stream: int, before: dict[int, Origins]
    ) -> int:
        """Note a residual sum and return the number of its residual stream."""
        short = before[residual_stream]
        (long,) = (origins for value, origins in before.items() if value != residual_stream)
        origin = last_common(short, long) or 0
        streams = (short.stream, self._streams[origin])
        stream = next((each for each in streams if each is not None), None) or self._new_stream()
        only_branch = long.every[-1] & ~short.every[-1] & self._contraction_origins
        self.sums.append(FoundSum(scope, position, residual_stream, origin, stream, only_branch))
        return stream

    def _enter(self, scope: Scope, position: int, before: dict[int, Origins]) -> list[Origins]:
        """Return the origins of the results of an operation whose computations are known."""
        operation = scope.graph.operations[position]
        branches = [self._iterate(body, operation, before) for body in self._inner[scope, position]]
        results = []
        for outputs in zip(*branches, strict=True):
            known = [output for output in outputs if output is not None] or list(before.values())
            merged = merge_origins(known) if known else first_origin(self._new_origin())
            results.append(merged.with_origin(self._new_origin(merged.stream), merged.stream))
        return results

    def _iterate(
        self, body: Scope, operation: Operation, before: dict[int, Origins]
    ) -> list[Origins | None]:
        """Return the origins of the outputs of a loop; a body that is not a loop runs once."""
        count = len(body.graph.inputs)
        operands = operation.operands[len(operation.operands) - count :]
        inputs = [before.get(each) if isinstance(each, int) else None for each in operands]
        carried = carried_inputs(operation, body.graph)
        for number in carried:
            inputs[number] = self._carry(inputs[number])
        first = len(self.sums)
        outputs = self._follow(body, inputs)
        kept = {
            output.stream
            for number, output in zip(carried, outputs, strict=False)
            if output is not None and output.stream == getattr(inputs[number], "stream", None)
        }
        for found in self.sums[first:]:
            found.count *= trip_count(operation) if found.stream in kept else 1
        return outputs

    def _carry(self, given: Origins | None) -> Origins:
        """Return the origins of a carried value, which may be a residual stream."""
        stream = self._new_stream() if given is None or given.stream is None else given.stream
        origin = self._new_origin(stream)
        return first_origin(origin, stream) if given is None else given.restarted(origin, stream)


def _residual_stream(before: dict[int, Origins]) -> int | None:
    """Return the term of a sum that passed through fewer kernels since the common origin."""
    (left, right), candidates = before, []
    for short, long in ((left, right), (right, left)):
        origin = last_common(before[short], before[long])
        if origin is None:
            continue
        short_count = kernel_count(before[short].carried, origin)
        if short_count < kernel_count(before[long].every, origin):
            candidates.append((origin, short))
    return max(candidates)[1] if candidates else None


def _all_scopes(sites: Sequence[Site]) -> list[Scope]:
    """Return the graphs that contain sites and all graphs around them."""
    scopes: dict[Scope, None] = {}
    for site in sites:
        scope: Scope | None = site.scope
        while scope is not None and scope not in scopes:
            scopes[scope] = None
            scope = scope.parent
    return list(scopes)


def _is_inexact(dtype: str) -> bool:
    return "float" in dtype or "complex" in dtype
