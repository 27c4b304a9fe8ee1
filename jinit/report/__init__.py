"""Records and diagnoses in; tables, figures and plain sentences out. Nothing here imports JAX."""

from jinit.report.diagnosis import diagnosis_page
from jinit.report.diagnosis_figure import diagnosis_figure
from jinit.report.progress import progress_line
from jinit.report.recommendation import Recommendation
from jinit.report.results import Results

__all__ = ["Recommendation", "Results", "diagnosis_figure", "diagnosis_page", "progress_line"]
