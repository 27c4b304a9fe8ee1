"""Tables, figures and sentences from records and diagnoses. This package does not import JAX."""

from jinit.report.calibration.figure import calibration_figure
from jinit.report.calibration.table import calibration_table
from jinit.report.diagnosis.figure import diagnosis_figure
from jinit.report.extras import MissingExtraError, explain_missing_extra
from jinit.report.figure_file import write_figure
from jinit.report.notebook_page import notebook_page
from jinit.report.pretraining.filter_figure import filter_figure
from jinit.report.pretraining.history_figure import history_figure
from jinit.report.sweep.progress import progress_line
from jinit.report.sweep.recommendation import Recommendation
from jinit.report.sweep.results import Results
from jinit.report.sweep.saved_params import run_name
from jinit.report.sweep.tuned import Tuned
from jinit.report.tracking.export import Export

__all__ = [
    "Export",
    "MissingExtraError",
    "Recommendation",
    "Results",
    "Tuned",
    "calibration_figure",
    "calibration_table",
    "diagnosis_figure",
    "explain_missing_extra",
    "filter_figure",
    "history_figure",
    "notebook_page",
    "progress_line",
    "run_name",
    "write_figure",
]
