"""The tasks included in jinit; none of them downloads anything."""

from collections.abc import Callable

from jinit.sweep.character_task import characters
from jinit.sweep.measured_tasks import breast_cancer, digits
from jinit.sweep.signal_task import mnist1d
from jinit.sweep.task import Task
from jinit.sweep.teacher_tasks import teacher_student, teacher_student_classes

TASKS: dict[str, Callable[..., Task]] = {
    "digits": digits,
    "breast_cancer": breast_cancer,
    "mnist1d": mnist1d,
    "characters": characters,
    "teacher_student": teacher_student,
    "teacher_student_classes": teacher_student_classes,
}
"""Tasks included in jinit, by name."""
