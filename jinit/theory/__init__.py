"""What a random layer does to a signal; true without any network."""

from jinit.theory.finite_width import FiniteWidth, finite_width

__all__ = ["FiniteWidth", "finite_width"]
