"""The schema of a sweep's records, against what the other packages write and measure."""

import pytest

from jinit import record
from jinit.diagnostics import Signal


def test_the_layer_columns_are_the_statistics_of_a_signal():
    assert set(record.LAYER_COLUMNS) == set(Signal._fields)


def test_no_name_is_listed_twice():
    for names in (record.RESERVED_COLUMNS, record.OUTLINE_KEYS):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("values", "compare", "tune"),
    [
        ({"init": 3, "depth": 2, "lr": 2}, ["init"], ["lr"]),
        ({"lr": 2, "gain": 2, "init": 1}, ["gain", "init"], ["lr"]),
        ({"activation": 1, "depth": 2, "width": 2, "lr": 2}, ["depth"], ["lr"]),
        ({"init": 1, "activation": 2, "lr": 2}, ["init", "activation"], ["lr"]),
        ({"init": 1, "lr": 2, "l2": 3}, ["init", "lr", "l2"], []),
        ({"depth": 1, "lr": 2, "l2": 1}, ["lr"], ["l2"]),
        ({"depth": 1, "lr": 1}, [], ["lr"]),
    ],
)
def test_the_default_roles_of_axes(values, compare, tune):
    axes = {axis: list(range(count)) for axis, count in values.items()}
    assert record.default_roles(axes, ["lr", "l2", "batch_size"]) == (compare, tune)
