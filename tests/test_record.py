"""The schema of a sweep's records, against what the other packages write and measure."""

from jinit import record
from jinit.diagnostics import Signal


def test_the_layer_columns_are_the_statistics_of_a_signal():
    assert set(record.LAYER_COLUMNS) == set(Signal._fields)


def test_no_name_is_listed_twice():
    for names in (record.RESERVED_COLUMNS, record.OUTLINE_KEYS):
        assert len(set(names)) == len(names)
