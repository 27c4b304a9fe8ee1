"""The engine: its records, and the programs that lanes share."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import pytest
from jax.sharding import Mesh, PartitionSpec
from sweep.small import CLASSES, FEATURES, record_programs, shallow, sweep, task

import jinit
from jinit.record import COLUMNS, OUTCOME_COLUMN, OUTLINE_KEYS
from jinit.sweep.slots import local_slots

INITS = ["zeros", "he_normal", "xavier_uniform"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three initializers × two activations × two rates × three seeds, blocks of eight lanes."""
    directory = tmp_path_factory.mktemp("main") / "new" / "directory"
    seen = []
    one = sweep(
        shallow,
        init=INITS,
        activation=["relu", "tanh"],
        lr=[1e-2, 3e-2],
        seeds=3,
        steps=20,
        record_every=8,
        lanes=8,
    )
    with record_programs() as programs:
        results = one.run(directory, seen.append)
    return (directory, results.frame(), seen), programs


@pytest.fixture(scope="module")
def main(recorded):
    """The directory of that sweep, its records and its progress."""
    return recorded[0]


def test_every_lane_is_recorded_once(main):
    _, frame, _ = main
    assert len(frame) == 36
    assert not frame.duplicated(["init", "activation", "lr", "seed"]).any()
    assert set(frame.columns) == {"init", "activation", "lr", OUTCOME_COLUMN, *COLUMNS}
    assert set(frame["seed"]) == {0, 1, 2}


def test_no_axis_can_take_the_name_of_a_recorded_column(main):
    _, frame, _ = main
    recorded = set(frame.columns) - {"init", "activation", "lr", "seed"}
    for name in sorted(recorded):
        space = jinit.grid(init=["zeros"], lr=[1e-3], **{name: [1]})
        with pytest.raises(ValueError, match=f"axis '{name}' is the name of a"):
            jinit.Sweep(task(), shallow, space)


def test_curves_and_layers_have_their_shapes(main):
    _, frame, _ = main
    for row in frame.to_dict("records"):
        assert row["step"].tolist() == [0, 8, 16, 20]  # eight does not divide twenty
        for name in ("train_loss", "validation_loss", "validation_accuracy"):
            assert len(row[f"{name}_curve"]) == 4
            assert row[name] == row[f"{name}_curve"][-1]
        assert list(row["layers"]) == [f"layer_{number:02d}/kernel" for number in range(2)]
        for name in ("activation_std", "gradient_std", "dead_fraction", "saturated_fraction"):
            assert len(row[name]) == 2


def test_the_first_record_is_the_untrained_network(main):
    _, frame, _ = main
    for row in frame[frame["init"] == "zeros"].to_dict("records"):
        assert row["train_loss_curve"][0] == pytest.approx(np.log(CLASSES))
        assert row["at_initialization"] == "dead"
        assert row["activation_std"].tolist() == [0.0] * 2
    (_, apply), (inputs, targets) = shallow({}), task().train
    row = frame[(frame["init"] == "he_normal") & (frame["activation"] == "relu")].iloc[0]
    params = shallow({"init": "he_normal"})[0](jax.random.key(int(row["seed"])))
    loss = optax.softmax_cross_entropy_with_integer_labels(apply(params, inputs), targets).mean()
    assert row["train_loss_curve"][0] == pytest.approx(float(loss), rel=1e-5)
    first = np.asarray(inputs @ params["layer_00"]["kernel"])
    assert row["activation_std"][0] == pytest.approx(first.std(), rel=1e-4)
    assert row["activation_second_moment"][0] == pytest.approx((first**2).mean(), rel=1e-4)


def test_training_helps(main):
    _, frame, _ = main
    curves = np.stack(frame[frame["init"] != "zeros"]["train_loss_curve"])
    assert (curves[:, -1] < curves[:, 0]).mean() > 0.9


def test_a_seed_has_the_same_draw_at_every_rate(main):
    _, frame, _ = main
    columns = ["activation_std", "gradient_std"]
    for _, group in frame.groupby(["init", "activation", "seed"]):
        for column in columns:
            first, second = group[column]
            np.testing.assert_array_equal(first, second)
    curves = frame[frame["init"] == "he_normal"].groupby("seed")["train_loss_curve"]
    assert curves.apply(lambda lane_curves: lane_curves.iloc[0][0]).nunique() == 3


def test_the_records_need_nothing_but_pandas(main):
    directory, frame, _ = main
    files = sorted((directory / "records").iterdir())
    assert [file.suffix for file in files] == [".parquet"] * 6  # 18 lanes a group, in eights
    alone = pandas.concat([pandas.read_parquet(file) for file in files])
    assert len(alone) == len(frame)
    assert alone["validation_accuracy"].between(0, 1).all()


def test_provenance(main):
    directory, frame, _ = main
    row = frame.iloc[0]
    assert row["jax_version"] == jax.__version__
    assert row["devices"] == len(local_slots())
    assert row["device"].startswith("cpu")
    assert row["lane_width"] == 8  # a block is one tile
    assert frame["compile_seconds"].gt(0).all()
    assert frame["run_seconds"].gt(0).all()
    outline = json.loads((directory / "sweep.json").read_text())
    assert outline["lanes"] == 36
    assert outline["format"] == 3
    assert set(outline) == set(OUTLINE_KEYS)
    assert outline["steps"] == 20
    assert outline["seeds"] == [0, 1, 2]
    assert outline["axes"]["lr"] == [1e-2, 3e-2]
    assert outline["larger_is_better"]
    assert (outline["compare"], outline["tune"]) == (["init"], ["lr"])
    assert outline["optax_version"] == row["optax_version"]


def test_one_training_program_per_activation(main):
    directory, frame, _ = main
    assert json.loads((directory / "sweep.json").read_text())["training_programs"] == 2
    assert (frame.groupby("activation")["group"].nunique() == 1).all()
    assert frame["group"].nunique() == 2


def test_progress_is_reported(main):
    _, _, seen = main
    done = [progress.lane_steps for progress in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 36 * 20)
    assert {progress.total_lane_steps for progress in seen} == {36 * 20}
    assert "training" in {progress.stage for progress in seen}
    assert str(seen[-1]).startswith("training  100 %")  # so `progress=print` shows lines


def communicates(compiled):
    return any(f" {name}" in compiled.as_text() for name in ("all-", "collective-", "reduce-scat"))


def test_initializers_cost_no_compilation_and_lanes_do_not_communicate(recorded):
    _, programs = recorded
    # For each activation two that train, by eight and by four steps, and one that scores before
    # the first step, on the first training examples and on the validation examples.
    assert len(programs) == 2 * 3
    assert not any(map(communicates, programs))


def test_a_second_sweep_of_the_same_task_compiles_nothing(tmp_path):
    data = task()
    frames = []
    for count, (init, lr) in enumerate([("he_normal", 1e-2), ("he_normal", 1e-2), ("ones", 0.1)]):
        one = sweep(shallow, on=data, init=[init], lr=[lr])
        with record_programs() as programs:
            frames.append(one.run(tmp_path / str(count)).frame())
        assert bool(programs) == (count == 0)
    assert frames[0]["train_loss"].tolist() == frames[1]["train_loss"].tolist()
    assert frames[0]["train_loss"].tolist() != frames[2]["train_loss"].tolist()
    again = sweep(shallow, on=data, init=["he_normal"], lr=[1e-2], patience=2)
    with record_programs() as programs:
        again.run(tmp_path / "patience")
    assert programs  # lanes that can stop are another program


def test_communication_would_be_seen():
    mesh = Mesh(np.array(jax.devices()), ("lane",))
    total = jax.shard_map(
        lambda x: jax.lax.psum(x, "lane"), mesh=mesh, in_specs=PartitionSpec("lane"),
        out_specs=PartitionSpec(),
    )  # fmt: skip
    assert communicates(jax.jit(total).lower(jnp.ones(8)).compile())


@pytest.mark.slow
def test_regression_and_inputs_of_more_axes(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 3, 2))
    data = (images, images.sum((1, 2), keepdims=True)[:, 0])
    one = sweep(
        lambda config: jinit.sweep.mlp(FEATURES, 1, depth=1, width=4, init=config["init"]),
        on=jinit.Task("sum", data, data, batch_size=8), init=["he_normal"], lr=[1e-2],
    )  # fmt: skip
    frame = one.run(tmp_path / "out").frame()
    assert "validation_accuracy" not in frame
    assert np.isfinite(frame["validation_loss"]).all()
    outline = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (outline["metric"], outline["classes"]) == ("validation_loss", None)
