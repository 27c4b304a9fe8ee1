"""Networks that people train are stable for every key: no false alarms."""

import jax
import pytest
from diagnostics.zoo import feed_forward, images, mixing_rows, recommended, recurrent

from jinit import diagnose

SLOW = pytest.mark.slow
ROOMS = {
    "feed forward": feed_forward.NETWORKS,
    "mixing rows": mixing_rows.NETWORKS,
    "recurrent": recurrent.NETWORKS,
    "images": images.NETWORKS,
    "recommended": recommended.NETWORKS,
}
KEYS = 4


def misjudged(build, depth):
    """Return the shares of the verdicts that are not stable, with the faults."""
    network = build(depth)
    batch = (*network.inputs, *network.targets)
    key = jax.random.key(depth)
    diagnosis = diagnose(network.model(), network.init, *batch, seeds=KEYS, key=key)
    if diagnosis.shares == {"stable": 1.0} and not diagnosis.faults:
        return []
    return [(depth, diagnosis.shares, [(each.path, each.cause) for each in diagnosis.faults])]


@pytest.mark.parametrize(("room", "name"), [("feed forward", "scan")])
def test_healthy_networks_are_stable(room, name):
    assert not misjudged(ROOMS[room][name], 4)


@SLOW
@pytest.mark.parametrize(
    ("room", "name"), [(room, name) for room, networks in ROOMS.items() for name in networks]
)
def test_many_healthy_networks_are_stable(room, name):
    assert not [case for depth in (4, 8, 16) for case in misjudged(ROOMS[room][name], depth)]


@SLOW
def test_the_zoo_is_large():
    assert 3 * KEYS * sum(map(len, ROOMS.values())) >= 300
