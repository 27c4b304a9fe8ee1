"""Fifty simulated workers train five hundred blocks, with kills, pauses and listings that lag."""

import gc

import pytest
from simulated_workers.availability import Troubles
from simulated_workers.disk import Server
from simulated_workers.simulation import Setting, simulate

SEEDS = range(4)
KILLS = Troubles(seconds_between_ends=900)
PAUSES = Troubles(seconds_between_pauses=1800)
LAG = Server(stale_seconds=30)


@pytest.fixture(autouse=True)
def no_collections():
    """The threads of a simulation make no cycles, and collections take most of its time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_trouble_no_block_is_trained_twice_and_no_time_is_lost(seed):
    found = simulate(Setting(seed=seed))
    assert found["finished"] == 500
    assert found["trained twice"] == 0
    assert found["efficiency"] > 0.9
    assert found["operations per claim"] < 25
    assert found["leases left"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_kills_cost_the_interrupted_blocks_alone(seed):
    setting = Setting(seed=seed, troubles=KILLS)
    found = simulate(setting)
    assert found["finished"] == 500
    assert found["takeovers"] > 20
    assert found["trained twice"] == 0
    assert found["share interrupted"] < 0.1
    assert found["longest takeover without free blocks"] < 1.5 * setting.lease_seconds
    assert found["longest takeover after a kill"] < 3 * setting.lease_seconds
    assert found["efficiency"] > 0.6
    assert found["leases left"] == 0


@pytest.mark.few(3)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("server", [Server(), LAG, Server(delay=0.2)])
def test_pauses_and_listings_that_lag_make_few_blocks_train_twice(seed, server):
    troubles = Troubles(seconds_between_ends=900, seconds_between_pauses=1800)
    found = simulate(Setting(seed=seed, troubles=troubles, server=server))
    assert found["finished"] == 500
    assert found["share trained twice"] < 0.05
    assert found["longest takeover without free blocks"] < 300
    assert found["efficiency"] > 0.5
    assert found["leases left"] == 0


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_lease_that_is_too_short_for_the_file_system_costs_work_and_no_block(seed):
    setting = Setting(seed=seed, troubles=KILLS, lease_seconds=20, server=Server(stale_seconds=60))
    found = simulate(setting)
    assert found["finished"] == 500
    assert found["trained twice"] > 0  # this is what the length of a lease is for


def test_equal_seeds_give_equal_runs():
    troubles = Troubles(seconds_between_ends=600, seconds_between_pauses=900)
    setting = Setting(workers=20, blocks=100, troubles=troubles, server=LAG)
    assert simulate(setting) == simulate(setting)
