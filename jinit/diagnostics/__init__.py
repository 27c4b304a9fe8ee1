"""Measure a network at its starting point."""

from jinit.diagnostics.signal import Signal, signal
from jinit.diagnostics.verdict import verdict

__all__ = ["Signal", "signal", "verdict"]
