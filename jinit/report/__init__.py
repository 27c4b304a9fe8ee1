"""Records in; tables, figures and plain sentences out. Nothing here imports JAX."""

from jinit.report.progress import progress_line
from jinit.report.recommendation import Recommendation
from jinit.report.results import Results

__all__ = ["Recommendation", "Results", "progress_line"]
