"""Notes about parameters that were drawn in a narrow floating-point dtype."""

from dataclasses import replace

from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.gains import low_precision_cause
from jinit.model import Model, PyTree

_CURE = "draw in float32 and round, as the initializers of jinit do in every dtype"


def add_precision_notes(diagnosis: Diagnosis, model: Model, params: PyTree) -> Diagnosis:
    """Return a diagnosis with a note about parameters that were drawn in a narrow dtype.

    Args:
      diagnosis: the diagnosis.
      model: the traced network.
      params: its parameters.
    """
    causes = {path: low_precision_cause(leaf) for path, leaf in model.by_path(params).items()}
    found = {path: cause for path, cause in causes.items() if cause}
    if not found:
        return diagnosis
    first, *others = found
    more = f" (and {len(others)} more: {', '.join(others[:3])}, ...)" if others else ""
    note = f"{first}: {found[first]}{more}; {_CURE}"
    return replace(diagnosis, notes=(*diagnosis.notes, note))
