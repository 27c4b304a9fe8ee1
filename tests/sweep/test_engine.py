"""The engine: records, shared programs, and lanes that do not affect each other."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import pytest
from jax.sharding import Mesh, PartitionSpec
from sweep.small import CLASSES, FEATURES, pair, shallow, sweep, task

import jinit
from jinit.record import COLUMNS, OUTCOME_COLUMN, OUTLINE_KEYS
from jinit.sweep import engine
from jinit.sweep.batches import Batches
from jinit.sweep.layout import BlockLayout

INITS = ["zeros", "he_normal", "xavier_uniform"]


@pytest.fixture
def programs(monkeypatch):
    """Everything that is compiled ahead of time while a test runs."""
    compiled = []
    original = jax.stages.Lowered.compile

    def recording(lowered, *arguments, **options):
        compiled.append(original(lowered, *arguments, **options))
        return compiled[-1]

    monkeypatch.setattr(jax.stages.Lowered, "compile", recording)
    return compiled


@pytest.fixture(scope="module")
def main(tmp_path_factory):
    """Three initializers × two activations × two rates × three seeds, blocks of eight lanes."""
    directory = tmp_path_factory.mktemp("main") / "new" / "directory"
    seen = []
    one = sweep(
        init=INITS,
        activation=["relu", "tanh"],
        lr=[1e-2, 3e-2],
        seeds=3,
        steps=20,
        record_every=8,
        lanes=8,
    )
    results = one.run(directory, seen.append)
    return directory, results.frame(), seen


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
        with pytest.raises(ValueError, match=f"axis '{name}' is the name of a"):
            sweep(init=["zeros"], lr=[1e-3], **{name: [1]})


def test_curves_and_layers_have_their_shapes(main):
    _, frame, _ = main
    for row in frame.to_dict("records"):
        assert row["step"].tolist() == [0, 8, 16, 20]  # eight does not divide twenty
        for name in ("train_loss", "validation_loss", "validation_accuracy"):
            assert len(row[f"{name}_curve"]) == 4
            assert row[name] == row[f"{name}_curve"][-1]
        assert list(row["layers"]) == [f"layer_{number:02d}/kernel" for number in range(3)]
        for name in ("activation_std", "gradient_std", "dead_fraction", "saturated_fraction"):
            assert len(row[name]) == 3


def test_the_first_record_is_the_untrained_network(main):
    _, frame, _ = main
    for row in frame[frame["init"] == "zeros"].to_dict("records"):
        assert row["train_loss_curve"][0] == pytest.approx(np.log(CLASSES))
        assert row["at_initialization"] == "dead"
        assert row["activation_std"].tolist() == [0.0] * 3
    (_, apply), (inputs, targets) = pair({}), task().train
    row = frame[(frame["init"] == "he_normal") & (frame["activation"] == "relu")].iloc[0]
    params = pair({"init": "he_normal"})[0](jax.random.key(int(row["seed"])))
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
    assert row["devices"] == jax.local_device_count()
    assert row["device"].startswith("cpu")
    assert row["lane_width"] == 1  # on each of eight devices
    assert frame["compile_seconds"].gt(0).all()
    assert frame["run_seconds"].gt(0).all()
    outline = json.loads((directory / "sweep.json").read_text())
    assert outline["lanes"] == 36
    assert outline["format"] == 2
    assert set(outline) == set(OUTLINE_KEYS)
    assert outline["steps"] == 20
    assert outline["seeds"] == [0, 1, 2]
    assert outline["axes"]["lr"] == [1e-2, 3e-2]
    assert outline["program_axes"] == ["activation"]
    assert outline["unread_contractions"] == 0
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


def test_initializers_cost_no_compilation_and_lanes_do_not_communicate(tmp_path, programs):
    counts = []
    for number, axes in enumerate((
        {"init": ["he_normal"], "activation": ["relu"]},
        {"init": INITS, "activation": ["relu", "tanh"]},
    )):  # fmt: skip
        before = len(programs)
        sweep(shallow, **axes, lr=[1e-2], seeds=4, steps=2, record_every=2).run(
            tmp_path / f"{number}"
        )
        counts.append(len(programs) - before)
    assert 0 < counts[0] <= 2  # one that measures step 0, one that trains
    assert counts[1] == 2 * counts[0]
    assert not any(map(communicates, programs))


def test_communication_would_be_seen():
    mesh = Mesh(np.array(jax.devices()), ("lane",))
    total = jax.shard_map(
        lambda x: jax.lax.psum(x, "lane"), mesh=mesh, in_specs=PartitionSpec("lane"),
        out_specs=PartitionSpec(),
    )  # fmt: skip
    assert communicates(jax.jit(total).lower(jnp.ones(8)).compile())


# Lanes do not affect each other

CURVES = ("train_loss_curve", "validation_loss_curve", "validation_accuracy_curve")


def assert_equal_lanes(one, other, rtol):
    assert len(one) == len(other)
    for mine, theirs in zip(one.to_dict("records"), other.to_dict("records"), strict=True):
        assert (mine["init"], mine["lr"], mine["seed"]) == (
            theirs["init"], theirs["lr"], theirs["seed"],
        )  # fmt: skip
        for name in (*CURVES, "activation_std", "gradient_std"):
            np.testing.assert_allclose(mine[name], theirs[name], rtol=rtol, atol=rtol)


def five_lanes(directory, **options):
    axes = {"init": ["he_normal"], "lr": [1e-2]}
    five = sweep(shallow, **axes, seeds=5, steps=10, record_every=10, **options)
    return five.run(directory).frame()


def test_block_width_padding_and_device_count_change_nothing_that_matters(tmp_path, monkeypatch):
    """Five lanes: on eight devices, three of them idle; in twos on one; and in turn on one."""
    wide = five_lanes(tmp_path / "eight devices")
    assert set(wide["lane_width"]) == {1}
    monkeypatch.setattr(engine, "local_mesh", lambda: Mesh(np.array(jax.devices()[:1]), ("lane",)))
    frame = five_lanes(tmp_path / "in twos", lanes=2)
    assert frame["block"].nunique() == 3
    assert set(frame["lane_width"]) == {2}
    assert_equal_lanes(frame, wide, rtol=1e-5)
    in_turn = BlockLayout(devices=1, device_tiles=3, tile_lanes=2)
    monkeypatch.setattr(engine, "choose_layout", lambda *_: in_turn)
    frame = five_lanes(tmp_path / "in turn")
    assert frame["block"].nunique() == 1
    assert_equal_lanes(frame, wide, rtol=1e-5)


def rates(directory, middle):
    """Nine lanes, two per device; lanes of the middle rate share devices with other rates."""
    one = sweep(
        init=["he_normal"], lr=[1e-2, middle, 1e-1], seeds=3, lanes=16, steps=20, record_every=5,
        optimizer=optax.sgd,
    )  # fmt: skip
    frame = one.run(directory).frame()
    return frame[frame["lr"] == middle], frame[frame["lr"] != middle]


def first_step_without_a_finite_loss(seed, lr):
    (inputs, targets), (init, apply) = task().train, pair({"init": "he_normal"})
    order = Batches(np.array([seed]), 90, 16).example_indices(np.array([0]), 0, 20)[0]
    params = init(jax.random.key(seed))

    @jax.jit
    def step(params, x, y):
        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - lr * g, params, gradients), value

    for count, examples in enumerate(order):
        params, loss = step(params, inputs[examples], targets[examples])
        if not np.isfinite(loss):
            return count
    raise AssertionError("did not diverge")


def test_a_diverged_lane_is_recorded_and_does_not_affect_others(tmp_path):
    lost, others = rates(tmp_path / "with", 1e12)
    _, undisturbed = rates(tmp_path / "without", 2e-2)
    assert lost["outcome"].tolist() == ["diverged"] * 3
    assert "diverged" not in set(lost["at_initialization"])
    for row in lost.to_dict("records"):
        assert row["diverged_at"] == first_step_without_a_finite_loss(int(row["seed"]), 1e12)
        assert row["diverged_at"] > 0
        assert np.isnan(row["validation_accuracy"])
        assert np.isfinite(row["train_loss_curve"][0])
    assert others["diverged_at"].isna().all()
    for name in (*CURVES, "activation_std", "gradient_std", "train_loss"):
        for mine, theirs in zip(others[name], undisturbed[name], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_lane_that_diverges_before_the_first_step(tmp_path):
    one = sweep(shallow, init=["he_normal"], gain=[1.0, 1e30], lr=[1e-2], steps=1)
    frame = one.run(tmp_path / "out").frame().set_index(["gain", "seed"])
    assert frame["diverged_at"].loc[1e30].tolist() == [0, 0]
    assert frame["diverged_at"].loc[1.0].isna().all()


def test_a_loss_that_turns_nan(tmp_path):
    """A loss that is NaN as soon as it is below a bound."""

    def fragile(outputs, targets):
        loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return jnp.where(loss.mean() < 0.5, jnp.nan, loss)

    axes = {"init": ["he_normal"], "lr": [1e-3, 1e-1]}
    one = sweep(shallow, on=task(loss=fragile), **axes, steps=60)
    seen = []
    frame = one.run(tmp_path / "out", seen.append).frame()
    slow, fast = (frame[frame["lr"] == rate] for rate in (1e-3, 1e-1))
    assert slow["diverged_at"].isna().all()
    assert fast["diverged_at"].between(1, 60).all()
    assert seen[-1].diverged_lanes == 2
    for row in fast.to_dict("records"):
        is_before = np.array(row["step"]) < row["diverged_at"]
        assert np.isfinite(np.array(row["train_loss_curve"])[is_before]).all()


def test_regression_and_inputs_of_more_axes(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 3, 2))
    data = (images, images.sum((1, 2), keepdims=True)[:, 0])
    one = sweep(
        lambda config: jinit.sweep.mlp(FEATURES, 1, depth=1, width=4, init=config["init"]),
        on=jinit.Task("sum", data, data, batch_size=8), init=["he_normal"], lr=[1e-2],
    )  # fmt: skip
    frame = one.run(tmp_path / "out").frame()
    assert frame["validation_accuracy"].isna().all()
    assert np.isfinite(frame["validation_loss"]).all()
    outline = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (outline["metric"], outline["classes"]) == ("validation_loss", None)


# Interrupted, occupied, unwritable ---------------------------------------------------------------


def test_an_interrupt_keeps_what_was_finished(tmp_path):
    def stop_in_the_second_block(progress):
        if progress.lane_steps > 8 * 20:
            raise KeyboardInterrupt

    one = sweep(shallow, init=INITS, lr=[1e-2], seeds=4, lanes=8, record_every=5)
    with pytest.raises(KeyboardInterrupt):
        one.run(tmp_path, stop_in_the_second_block)
    results = jinit.Results(tmp_path)
    frame = results.frame()
    assert list(zip(frame["init"], frame["seed"], strict=True)) == [
        (init, seed) for init in INITS[:2] for seed in range(4)
    ]
    assert all(row[-1] == 20 for row in frame["step"])
    assert results.outline.total_lanes == 12
    assert not list(tmp_path.rglob("*.partial"))
    assert results.table().row_count > 0
    assert results.best()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        ValueError,
        match=r"already holds a sweep, which would be overwritten: .*--out DIR.*jinit\.Results\(",
    ):
        one.run(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_that_cannot_be_written(tmp_path):
    """Below a file: not even an administrator can write there."""
    (tmp_path / "file").touch()
    with pytest.raises(
        ValueError, match=r"cannot write results to .*out.*; give another output dir"
    ):
        sweep(shallow, init=["he_normal"], lr=[1e-2]).run(tmp_path / "file" / "out")


def test_directories_are_checked_before_anything_is_built(tmp_path):
    def build(config):
        raise AssertionError("the directory was not checked first")

    (tmp_path / "file").touch()
    (tmp_path / "old" / "records").mkdir(parents=True)
    (tmp_path / "old" / "records" / "00000.parquet").touch()
    for name, message in (("file/out", "cannot write results"), ("old", "already holds a sweep")):
        with pytest.raises(ValueError, match=message):
            sweep(build, init=["he_normal"], lr=[1e-2]).run(tmp_path / name)


def test_a_build_that_fails_leaves_no_directory(tmp_path):
    with pytest.raises(TypeError, match="cannot make a model of int"):
        sweep(lambda _: 3, init=["he_normal"], lr=[1e-2]).run(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []
