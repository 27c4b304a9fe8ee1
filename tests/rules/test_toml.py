"""Rules are read from TOML, and errors name the file and the rule."""

import json

import pytest

import jinit
from jinit import Rule, rules_from_toml

EVERY = """
[[rules]]  # has every condition
initializer = { name = "variance_scaling", scale = 2.0, mode = "fan_in", distribution = "normal" }
path = "**/kernel"
regex = "block_[0-9]+"
role = "kernel"
shape = ["*", 16]
axes = ["in", "out"]
depth = [2, 5]
end = "residual"
branch = true
optional = true

[[rules]]
initializer = "zeros"
depth = 0
"""
RULES = (
    Rule(
        jinit.variance_scaling(2.0, "fan_in", "normal"),
        path="**/kernel",
        regex="block_[0-9]+",
        role="kernel",
        shape=(None, 16),
        axes=("in", "out"),
        depth=(2, 5),
        end="residual",
        branch=True,
        optional=True,
    ),
    Rule(jinit.zeros, depth=0),
)


def test_every_condition_is_read():
    assert rules_from_toml(EVERY) == RULES


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_from_a_file(tmp_path, kind):
    file = tmp_path / "rules.toml"
    file.write_text(EVERY, "utf-8")
    assert rules_from_toml(kind(file)) == RULES


def test_the_plain_data_of_rules_is_what_a_file_holds():
    spec = RULES[0].to_spec()
    lines = {name: value for name, value in spec.items() if name not in ("initializer", "shape")}
    options = ", ".join(f"{name} = {_toml(each)}" for name, each in spec["initializer"].items())
    written = [f"{name} = {_toml(value)}" for name, value in lines.items()]
    text = "\n".join(["[[rules]]", f"initializer = {{ {options} }}", 'shape = ["*", 16]', *written])
    assert rules_from_toml(text) == RULES[:1]


def _toml(value):
    """Strings, numbers and lists of them look alike in TOML and JSON."""
    return json.dumps(value)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[[rules]]\ninitializer = he_normal\n", ValueError, "line 2"),
        ('[[rules]]\ninitializer = "he_norml"\n', ValueError, "rule 1: "),
        ('[[rules]]\ninitializer = "he_norml"\n', ValueError, "did you mean 'he_normal'"),
        (
            '[[rules]]\ninitializer = "zeros"\n[[rules]]\ninitializer = "ones"\npth = "**"\n',
            ValueError,
            "rule 2: unknown condition of a rule 'pth'; did you mean 'path'",
        ),
        ('[[rules]]\nrole = "kernel"\n', TypeError, "rule 1: rules: expected a Rule"),
        ('[[rule]]\ninitializer = "zeros"\n', ValueError, "did you mean 'rules'"),
        ("\n", ValueError, "each under a line [[rules]]"),
        ("rules = []\n", ValueError, "each under a line [[rules]]"),
        ("rules = 3\n", ValueError, "each under a line [[rules]]"),
        ("rules = [3]\n", TypeError, "rule 1: rules: expected a Rule or plain data"),
        (
            '[[rules]]\ninitializer = "zeros"\naxes = ["inn"]\n',
            ValueError,
            "rule 1: unknown axis 'inn'; did you mean 'in'",
        ),
        (
            '[[rules]]\ninitializer = "zeros"\noptional = "no"\n',
            TypeError,
            "rule 1: optional: expected True or False, got 'no'",
        ),
        (f"rules = {'[' * 5000}{']' * 5000}\n", ValueError, "nested too deeply"),
    ],
)
def test_errors_name_file_and_rule(tmp_path, text, error, message):
    file = tmp_path / "mine.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(error) as caught:
        rules_from_toml(file)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(file))
    with pytest.raises(error):
        rules_from_toml(text)


def test_text_that_is_not_utf_8(tmp_path):
    file = tmp_path / "latin.toml"
    file.write_bytes('[[rules]]  # größer\ninitializer = "zeros"\n'.encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"latin\.toml: expected TOML in UTF-8, but byte 15 is not"
    ):
        rules_from_toml(file)


def test_a_missing_file():
    with pytest.raises(FileNotFoundError):
        rules_from_toml("none.toml")
