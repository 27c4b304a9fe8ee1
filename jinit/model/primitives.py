"""JAX's primitives, grouped by what they do to the entries of an array."""

SUMS = frozenset({"add", "sub", "add_any"})
PRODUCTS = frozenset({"mul", "div"})

JOINS = frozenset({"concatenate", "stack"})
"""Operations that put arrays side by side."""
REARRANGEMENTS = frozenset({"gather", "scatter", "dynamic_update_slice", "sort", *JOINS})
"""Operations that move entries to other places, or put some of them in the place of others.

Further operands are indices, or arrays that the entries are put into."""

_COPIES = {"convert_element_type", "copy", "copy_p", "name", "reduce_precision", "stop_gradient"}
_PLACEMENTS = {"optimization_barrier", "pvary", "reshard", "sharding_constraint"}
_DEVICE_SUMS = {"psum", "psum_invariant"}
VALUE_PRESERVING = frozenset(_COPIES | _PLACEMENTS | _DEVICE_SUMS)
"""Operations that change no entry, up to rounding or a sum over devices."""

_PIECEWISE = {"abs", "ceil", "clamp", "floor", "max", "min", "neg", "nextafter", "rem", "round"}
_SELECTIONS = {"is_finite", "select_n", "sign"}
COMPARISONS = frozenset({"and", "eq", "ge", "gt", "le", "lt", "ne", "not", "or", "xor"})
"""Comparisons, and operations on their results."""
_EXPONENTIALS = {"exp", "exp2", "expm1", "log", "log1p", "logistic"}
_POWERS = {"cbrt", "integer_pow", "pow", "rsqrt", "sqrt", "square"}
_SPECIAL = {"digamma", "erf", "erf_inv", "erfc", "lgamma"}
_TRIGONOMETRIC = {"acos", "asin", "atan", "atan2", "cos", "sin", "tan"}
_HYPERBOLIC = {"acosh", "asinh", "atanh", "cosh", "sinh", "tanh"}
_COMPLEX = {"complex", "conj", "imag", "real"}
ELEMENTWISE = frozenset().union(
    SUMS,
    PRODUCTS,
    VALUE_PRESERVING,
    _PIECEWISE,
    _SELECTIONS,
    COMPARISONS,
    _EXPONENTIALS,
    _POWERS,
    _SPECIAL,
    _TRIGONOMETRIC,
    _HYPERBOLIC,
    _COMPLEX,
)
"""Operations that compute each entry of the result from one entry of every operand."""
