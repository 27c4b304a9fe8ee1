"""JAX's elementary operations by what they do to the entries of an array."""

SUMS = frozenset({"add", "sub", "add_any"})
PRODUCTS = frozenset({"mul", "div"})
SAME = frozenset(
    {
        *("convert_element_type", "copy", "copy_p", "name", "optimization_barrier", "pvary"),
        *("psum", "psum_invariant", "reduce_precision", "reshard", "sharding_constraint"),
        "stop_gradient",
    }
)
"""Operations after which a value still is what it was, entry by entry."""
ELEMENTWISE = frozenset(
    {
        *SUMS,
        *PRODUCTS,
        *SAME,
        *(
            "abs",
            "ceil",
            "clamp",
            "floor",
            "max",
            "min",
            "neg",
            "nextafter",
            "rem",
            "round",
            "sign",
        ),
        *("and", "eq", "ge", "gt", "is_finite", "le", "lt", "ne", "not", "or", "select_n", "xor"),
        *("exp", "exp2", "expm1", "log", "log1p", "logistic", "pow", "integer_pow", "square"),
        *("cbrt", "rsqrt", "sqrt", "digamma", "erf", "erf_inv", "erfc", "lgamma"),
        *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh"),
        *("cos", "cosh", "sin", "sinh", "tan", "tanh", "conj", "imag", "real"),
    }
)
"""Operations that make each entry of the result of one entry of every operand."""
