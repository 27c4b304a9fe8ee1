"""Records and diagnoses in; tables, figures and plain sentences out. Nothing here imports JAX."""

from jinit.report.diagnosis_figure import diagnosis_figure
from jinit.report.extras import needed_for
from jinit.report.progress import progress_line
from jinit.report.recommendation import Recommendation
from jinit.report.results import Results

__all__ = ["Recommendation", "Results", "diagnosis_figure", "needed_for", "progress_line"]
