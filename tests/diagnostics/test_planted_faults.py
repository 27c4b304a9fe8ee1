"""Faults planted between layers and in unusual layers are named: verdict, place and explanation."""

import jax
import optax
import pytest
from diagnostics.zoo.parts import LABELS, X
from diagnostics.zoo.planted_between import BETWEEN, ELEMENTWISE, NETWORKS, PLACES, network
from diagnostics.zoo.planted_parameters import FAULTS, unusual_network

from jinit import diagnose

SLOW = pytest.mark.slow
SEEDS = 3


def is_explained(diagnosis):
    return all(fault.cause and (fault.cure or fault.source) for fault in diagnosis.faults)


def missed_between(name, fault, place):
    """Return the cases in which a fault between two layers is not named with its operation.

    After a residual sum, it lies between any of the branches before and the next layer. An
    elementwise operation may be named as part of the activation before it.
    """
    operation, verdicts, words = BETWEEN[fault]
    planted = network(name, place, operation)
    model, missed = planted.model(), []
    before = f"hidden/{place}"
    first = 0 if name == "branches" else place
    between = [f"between hidden/{n} and hidden/{place + 1}" for n in range(first, place + 1)]
    for seed in range(SEEDS):
        diagnosis = diagnose(model, planted.init(jax.random.key(seed)), X, LABELS)
        is_named = any(
            (words in each.cause and any(text in each.cause for text in between))
            or (fault in ELEMENTWISE and each.path == before and "its activation" in each.cause)
            for each in diagnosis.faults
        )
        if diagnosis.verdict not in verdicts or not is_named or not is_explained(diagnosis):
            missed.append((name, fault, place, seed, str(diagnosis)))
    return missed


def test_an_operation_between_layers_is_named():
    assert not missed_between("relu", "comparison", 3)


@SLOW
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("fault", BETWEEN)
def test_operations_at_all_places_are_named(name, fault):
    assert not [case for place in PLACES for case in missed_between(name, fault, place)]


@SLOW
@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_are_stable_without_a_planted_fault(name):
    healthy = network(name)
    diagnosis = diagnose(healthy.model(), healthy.init, X, LABELS, seeds=12)
    assert diagnosis.shares == {"stable": 1.0}


@SLOW
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_unusual_layers_are_named(fault):
    layer, plant, verdicts, words = FAULTS[fault]
    planted = unusual_network(layer)
    model, missed = planted.model(), []
    optimizer = optax.adam(1e-4) if verdicts == ("frozen",) else None
    for place in PLACES:
        for seed in range(SEEDS):
            params = planted.init(jax.random.key(seed))
            healthy = diagnose(model, params, X, LABELS, optimizer=optimizer)
            plant(params["layers"][place], jax.random.key(100 + seed))
            diagnosis = diagnose(model, params, X, LABELS, optimizer=optimizer)
            texts = [f"{each.path}: {each.cause}" for each in diagnosis.faults] + [*diagnosis.notes]
            is_named = any(f"layers/{place}/" in text and words in text for text in texts)
            is_right = diagnosis.verdict in verdicts and healthy.verdict == "stable"
            if not (is_right and is_named and is_explained(diagnosis)):
                missed.append((fault, place, seed, healthy.verdict, str(diagnosis)))
    assert not missed
