"""Forms: the function that turns a parameter into the weight that is used."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jinit.model.primitives import COMPARISONS, PRODUCTS, SUMS

FormKind = Literal["entries", "number", "other"]
"""Kind of a value: a parameter's own `entries`, times a number; a `number`, which is the same in
every entry or does not fluctuate, such as a norm; or any `other` function of the parameter."""


@dataclass(frozen=True)
class WeightForm:
    """How a value depends on the numbers in one parameter.

    Statistics are those for a parameter of independent standard normal entries, so that no weight
    has to be drawn to know them.

    >>> PLAIN.times(0.5), PLAIN.is_plain
    (WeightForm(degree=1.0, scale=0.5), True)
    """

    degree: float | None = 1.0
    """The d of f(c·w) = c^d·f(w) for c > 0; None if there is none."""
    scale: float | None = 1.0
    """The factor of the entries, with its sign; the value of a number; otherwise the root mean
    square. None if it is unknown."""
    kind: FormKind = "entries"
    mean: float | None = 0.0
    """Mean of the entries; None if it is unknown."""
    summed: float = 1.0
    """Number of entries of the parameter that an entry is the sum of."""
    is_centered: bool = False
    """Whether the mean of entries has been subtracted."""
    has_offset: bool = False
    """Whether a constant has been added."""
    is_part: bool = False
    """Whether it is the real or imaginary part of a complex number."""
    is_rounded: bool = False
    is_stopped: bool = False
    """Whether no gradient passes."""
    residue: float = 0.0
    """Multiple of the parameter that has been added to any other function of it."""
    normalization: str = ""
    """Name of the normalization that has been applied, or that dividing by this number applies."""
    reason: str = ""
    """Why this is no multiple of the parameter, as a clause; empty if it is one."""

    def __repr__(self) -> str:
        shown = {"degree": self.degree, "scale": self.scale} | {
            name: value for name, value in vars(self).items() if value != getattr(PLAIN, name)
        }
        return f"WeightForm({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def is_plain(self) -> bool:
        """Whether the value is a known multiple of the parameter."""
        return self.kind == "entries" and self.degree == 1 and not self.reason and bool(self.scale)

    @property
    def is_normalized(self) -> bool:
        """Whether a positive factor of the parameter changes nothing."""
        return self.degree == 0 and not self.residue

    @property
    def rms(self) -> float | None:
        """Root mean square of the value."""
        return None if self.scale is None else abs(self.scale) * math.sqrt(self.summed)

    def times(self, factor: float | None, degree: float = 0.0) -> "WeightForm":
        """Return the form after a product with a number.

        Args:
          factor: the number; None if it is unknown.
          degree: the number's degree in the parameter.
        """
        if factor == 1 and not degree:
            return self
        return replace(
            self,
            scale=_multiply(self.scale, factor),
            mean=_multiply(self.mean, factor),
            degree=None if self.degree is None else self.degree + degree,
            residue=self.residue * (factor or 1.0),
        )

    def nonlinear(self, name: str, degree: float | None = None) -> "WeightForm":
        """Return the form after a nonlinear operation.

        A function of a value of degree zero has degree zero.

        Args:
          name: name of the operation.
          degree: degree of the result; None if the operation is not homogeneous.
        """
        return WeightForm(
            degree=0.0 if self.degree == 0 else degree,
            scale=None,
            kind="other",
            mean=None,
            normalization=self.normalization,
            reason=strongest_reason([self.reason, nonlinear_reason(name)]),
        )

    def because(self, reason: str) -> "WeightForm":
        """Return the form with another reason."""
        return replace(self, reason=reason or self.reason)

    def mixed(self, name: str) -> "WeightForm":
        """Return the form after an operation that mixes entries."""
        reason = f"the weight that is used mixes its entries ({name})"
        return self.nonlinear(name).because(self.reason or reason)

    def settle(self, shape: tuple[int, ...]) -> "WeightForm":
        """Return the form of a value of this shape: a single entry of any function is a number."""
        if self.kind != "other" or math.prod(shape) > 1:
            return self
        return replace(self, kind="number", scale=self.mean or None, mean=self.mean or None)

    def drop_residue(self) -> "WeightForm":
        """Return the form for a nonlinear operation, with the multiple of the parameter inside."""
        if not self.residue:
            return self
        degree = 1.0 if self.degree == 1 else None
        reason = self.reason or nonlinear_reason("add")
        return WeightForm(degree, None, "other", None, reason=reason)


def _multiply(number: float | None, factor: float | None) -> float | None:
    return None if number is None or factor is None else number * factor


PLAIN = WeightForm()


CHANGING = WeightForm(
    None, None, "other", None, reason="it is not the same in every iteration or branch"
)


def nonlinear_reason(name: str) -> str:
    """Return the reason why a parameter that goes through a nonlinear operation is not read."""
    return f"the weight that is used is a nonlinear function of it ({name})"


_BOUNDS = {"abs", "max", "min", "reduce_max", "reduce_min", "select_n"}
_INCIDENTAL = frozenset(map(nonlinear_reason, COMPARISONS | SUMS | PRODUCTS | _BOUNDS))
"""Reasons that other operations explain better, as exp explains softmax, which also has a maximum.
"""


def strongest_reason(reasons: Iterable[str]) -> str:
    """Return the first reason that explains most."""
    given = [reason for reason in reasons if reason]
    return next((reason for reason in given if reason not in _INCIDENTAL), (given or [""])[0])


def join_forms(forms: Sequence[WeightForm], reason: str) -> WeightForm:
    """Return the form of a value that is one of several, or holds pieces of several forms.

    Args:
      forms: the forms.
      reason: why the parameter is not read if they differ.
    """
    is_one = all(form == forms[0] for form in forms)
    return forms[0] if is_one else WeightForm(None, None, "other", None, reason=reason)
