"""No alarm over healthy networks, and an alarm in the right place over faulty ones."""

import jax
import pytest
from diagnostics.planted import FAULTS, network

from jinit import diagnose

SLOW = pytest.mark.slow
HEALTHY = [
    ("gelu", 4, 32),
    *(pytest.param(*each, marks=SLOW) for each in (("relu", 8, 64), ("tanh", 24, 16))),
    *(
        pytest.param(name, depth, width, marks=SLOW)
        for name in ("relu", "tanh", "tanh with biases", "gelu")
        for depth, width in ((2, 16), (2, 1024), (8, 128), (24, 256), (64, 16), (64, 64))
    ),
]


@pytest.mark.parametrize(("name", "depth", "width"), HEALTHY)
def test_no_alarm_over_healthy_networks(name, depth, width):
    model, _, x = network(name, depth, width)
    found = diagnose(model, None, x, seeds=12, key=jax.random.key(depth + width))
    assert found.shares == {"stable": 1.0}
    assert found.healthy
    assert not found.faults


ILL = [
    ("relu", 8, 64),
    *(pytest.param(*each, marks=SLOW) for each in (("tanh", 8, 64), ("gelu", 24, 128))),
    pytest.param("relu", 24, 16, marks=SLOW),
]


@pytest.mark.parametrize(("name", "depth", "width"), ILL)
def test_planted_faults_are_named_with_their_layer(name, depth, width):
    model, init, x = network(name, depth, width)
    found, right, wrong = 0, 0, []
    for fault, (plant, words) in FAULTS.items():
        for place in (2, depth // 2, depth - 1):
            for seed in range(3):
                key = jax.random.key(seed)
                params = init(key)
                params[place] = plant(params[place], params[place - 1], key)
                diagnosis = diagnose(model, params, x)
                named = [each.path for each in diagnosis.faults if each.verdict in words]
                found += diagnosis.verdict in words
                right += f"{place}/kernel" in named
                if f"{place}/kernel" not in named:
                    wrong.append((fault, place, seed, diagnosis.verdict, named))
    assert found == right == 9 * len(FAULTS), wrong
