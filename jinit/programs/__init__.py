"""Cut any initialization function into a few compiled programs, and draw all of their arrays."""

from jinit.programs.calls import count_compilations
from jinit.programs.fast_init import fast_init

__all__ = ["count_compilations", "fast_init"]
