"""The parts of the sweep bench."""
