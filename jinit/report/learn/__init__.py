"""The learning page from numbers that `jinit.lessons` computes."""

from jinit.report.learn.page import write_learning_page

__all__ = ["write_learning_page"]
