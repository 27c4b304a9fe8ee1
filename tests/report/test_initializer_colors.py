"""One look per initializer: fixed for those of the table, different for all of one chart."""

from jinit.initializers.catalog import ALIASES, CATALOG
from jinit.report.initializer_colors import INITIALIZER_LOOKS, LINE_LOOKS, choose_looks

METHODS = {"autoinit", "lsuv", "gradinit", "rbm", "autoencoder"}


def test_the_table_has_names_of_the_catalog_with_different_looks():
    names = {entry.name for entry in CATALOG} | set(ALIASES) | METHODS
    assert set(INITIALIZER_LOOKS) <= names
    assert set(INITIALIZER_LOOKS.values()) == set(LINE_LOOKS)
    assert all(INITIALIZER_LOOKS[name] == INITIALIZER_LOOKS[of] for name, of in ALIASES.items())


def test_a_look_does_not_depend_on_the_other_initializers():
    for labels in (["he_normal"], ["mine", "other", "he_normal"], ["zeros", "he_normal [lr=0.1]"]):
        looks = choose_looks(labels)
        assert looks[labels[-1]] == INITIALIZER_LOOKS["he_normal"]
        assert len(set(looks.values())) == len(labels)


def test_unknown_names_get_rarely_used_colors_first():
    looks = choose_looks(["zeros", *(f"mine{number}" for number in range(6))])
    assert len({look.color for look in looks.values()}) == 7
    many = choose_looks([f"mine{number}" for number in range(40)])
    assert set(many.values()) == set(LINE_LOOKS)
