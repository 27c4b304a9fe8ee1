"""Long methods show progress, and go on from a checkpoint to the same bits."""

import hashlib
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals

from jinit.calibrate import gradinit, lsuv, metainit
from jinit.calibrate.plain_arrays import from_plain_arrays, to_plain_arrays
from jinit.model import trace
from jinit.pretrain import autoencoder, fine_tune, rbm, train_rbm, train_stack, unroll

KEY = jax.random.key(3)
X = jax.random.uniform(jax.random.key(1), (24, 6))
LABELS = jnp.arange(24) % 3


class StopError(Exception):
    """Raised by a progress, as an interrupt would be."""


def apply(params, x):
    for weights, bias in params[:-1]:
        x = jax.nn.sigmoid(x @ weights + bias[None])
    return x @ params[-1][0]


def parameters():
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = ((6, 6), (6, 6), (6, 3))  # equal layers compile once
    return [(normals(key, size), jnp.zeros(size[1])) for key, size in zip(keys, sizes, strict=True)]


def apply_convolution(params, x):
    kernel, bias, head = params
    numbers = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
    return jax.nn.sigmoid(y + bias).mean((1, 2)) @ head


MODEL = trace(apply, parameters(), X)
IMAGES = normals(4, (12, 4, 4, 2))
KERNELS = (jnp.ones((2, 2, 2, 5)), jnp.zeros((1, 1, 1, 5)), jnp.ones((5, 2)))
CONVOLUTION = trace(apply_convolution, KERNELS, IMAGES)
SHORT = {"epochs": 3, "batch_size": 8}


def run_rbm(**watch):
    return rbm(MODEL, parameters(), X, KEY, **SHORT, **watch)


def run_stack(**watch):
    return train_stack(X, (4, 2), KEY, **watch)


def run_tuning(**watch):
    network = unroll(train_stack(X, (4, 2), KEY)[0])
    return fine_tune(network, X, KEY, epochs=3, optimizer=OPTIMIZER, **watch)


OPTIMIZER = optax.adam(1e-3)
CALLS = {
    "rbm": run_rbm,
    "autoencoder": lambda **watch: autoencoder(MODEL, parameters(), X, KEY, **SHORT, **watch),
    "rbm of patches": lambda **watch: rbm(CONVOLUTION, KERNELS, IMAGES, KEY, **SHORT, **watch),
    "autoencoder of patches": lambda **watch: autoencoder(
        CONVOLUTION, KERNELS, IMAGES, KEY, **SHORT, **watch
    ),
    "metainit": lambda **watch: metainit(MODEL, parameters(), (X, LABELS), KEY, steps=5, **watch),
    "gradinit": lambda **watch: gradinit(MODEL, parameters(), (X, LABELS), KEY, steps=5, **watch),
    "train_rbm": lambda **watch: train_rbm(X, 4, KEY, epochs=5, **watch),
    "train_stack": run_stack,
    "fine_tune": run_tuning,
}


def arrays(result):
    """The arrays of a result; a report counts as its numbers."""
    found, report = result
    numbers = report if isinstance(report, dict | list) else (report.statistics, report.history)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((found, dict(enumerate(numbers))))]


def stop_after(count, seen):
    def progress(update):
        seen.append(update)
        if len(seen) == count:
            raise StopError

    return progress


def assert_equal(result, expected):
    for one, other in zip(arrays(result), arrays(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_is_stopped_after_any_part_goes_on_to_the_same_bits(name, tmp_path):
    call, file, all_seen, stops = CALLS[name], tmp_path / "a.npz", [], 0
    expected = call()
    assert_equal(call(progress=all_seen.append), expected)
    for count in range(1, len(all_seen) + 1):
        seen = []
        with pytest.raises(StopError):
            call(progress=stop_after(count, seen), checkpoint=file)
        is_begun = any(update.done for update in seen)
        assert file.exists() == is_begun
        assert_equal(call(checkpoint=file), expected)
        assert not list(tmp_path.iterdir())
        stops += is_begun
    assert stops >= 2


@pytest.mark.few(1)
@pytest.mark.parametrize(("name", "parts"), [("rbm", 5), ("metainit", 4)])
def test_a_call_may_be_stopped_again_and_again(name, parts, tmp_path):
    """Each call does at least one part, so that the work comes to its end."""
    call, file = CALLS[name], tmp_path / "a.npz"
    result, stops = None, 0
    while result is None:
        try:
            result = call(progress=stop_after(parts, []), checkpoint=str(file))
        except StopError:
            stops += 1
            assert file.exists()
    assert stops >= 2
    assert_equal(result, call())
    assert not list(tmp_path.iterdir())


def test_progress_counts_layers_and_epochs():
    seen = []
    run_rbm(progress=seen.append)
    assert str(seen[0]) == "rbm: 0 s"
    by_layer = {number: [] for number in (1, 2)}
    for update in seen[1:]:
        assert (update.method, update.unit, update.total) == ("rbm", "epoch", 3)
        assert update.layer.total == 2
        by_layer[update.layer.number].append(update.done)
    for counts in by_layer.values():
        assert counts[0] == 0
        assert counts[-1] == 3
        assert counts == sorted(set(counts))
    assert seen[-1].latest[0] == "reconstruction error"
    assert str(seen[-1]).startswith("rbm: layer 1/0 (2 of 2), epoch 3 of 3, reconstruction error ")
    assert [each.seconds for each in seen] == sorted(each.seconds for each in seen)


def stopped_file(folder, call=CALLS["train_rbm"], parts=3):
    file = folder / "a.npz"
    with pytest.raises(StopError):
        call(progress=stop_after(parts, []), checkpoint=file)
    return file


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """What a call of `train_rbm` leaves that was stopped after its first epoch."""
    return stopped_file(tmp_path_factory.mktemp("stopped")).read_bytes()


OTHERS = [
    (r"train_rbm: .*differs in: data; delete it to begin anew, or name another", {"data": X / 2}),
    (r"differs in: key;", {"key": jax.random.key(4)}),
    (r"method \(train_rbm\(RbmTrainer\(epochs=5, .* here\)", {"epochs": 4}),
]


@pytest.mark.few(1)
@pytest.mark.parametrize(("message", "change"), OTHERS)
def test_other_work_is_refused_and_the_file_is_kept(message, change, content, tmp_path):
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    given = {"data": X, "hidden": 4, "key": KEY, "epochs": 5} | change
    with pytest.raises(ValueError, match=message):
        train_rbm(**given, checkpoint=file)
    assert file.read_bytes() == content


def test_a_method_without_long_loops_refuses_the_file_of_another_one(content, tmp_path):
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"lsuv: .*method .* there, lsuv\(\) here.*parameters"):
        lsuv()(MODEL, parameters(), X, checkpoint=file)


@pytest.mark.slow
def test_options_without_names_count_by_what_they_compute(tmp_path):
    def tune(rate, **watch):
        network = unroll(train_stack(X, (4, 2), KEY)[0])
        return fine_tune(network, X, KEY, epochs=3, optimizer=optax.sgd(rate), **watch)

    file = stopped_file(tmp_path, lambda **watch: tune(0.1, **watch))
    with pytest.raises(ValueError, match="differs in: traced computation;"):
        tune(0.2, checkpoint=file)
    tune(0.1, checkpoint=file)


def test_damaged_files_are_refused(content, tmp_path):
    file = tmp_path / "a.npz"
    generator = np.random.default_rng(0)
    damaged = [content[:length] for length in (0, 5, 40, len(content) - 1)]
    for place in generator.integers(0, len(content), 40):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(generator.integers(8))
        damaged.append(bytes(flipped))
    stream = io.BytesIO()
    np.savez(stream, weights=np.ones(3))
    for each in (*damaged, stream.getvalue(), b"text"):
        file.write_bytes(each)
        with pytest.raises(ValueError, match=r"a\.npz is not a file that jinit wrote.*delete it"):
            CALLS["train_rbm"](checkpoint=file)
        assert file.read_bytes() == each


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved | {"0/1 0/network/visible_bias": np.ones(3)}, "does not have the arr"),
        (lambda saved: {k: v.astype("f8") if k[1] == "/" else v for k, v in saved.items()}, "does"),
        (lambda saved: {k: v for k, v in saved.items() if k[1] != "/"}, "does not have the arrays"),
        (lambda saved: saved | {"7/0 x": np.ones(3)}, "has an array '7/0 x'"),
        (lambda saved: saved | {"steps": np.array([9])}, "has 9 steps of a loop, expected 0 to 5"),
        (lambda saved: saved | {"steps": np.ones(1)[:, None] * [1, 2]}, "is not a checkpoint"),
        (lambda saved: saved | {"identity": np.ones(3)}, "is not a checkpoint"),
        (lambda saved: saved | {"seconds": np.array("x")}, "is not a checkpoint"),
    ],
)
def test_forged_files_are_refused(change, message, content, tmp_path):
    """The digest is right, and the arrays are not."""
    file = tmp_path / "a.npz"
    with np.load(io.BytesIO(content[:-32]), allow_pickle=False) as archive:
        saved = dict(archive)
    assert json.loads(saved["identity"].tobytes())["method"].startswith("train_rbm(")
    stream = io.BytesIO()
    np.savez(stream, **change(saved))
    forged = stream.getvalue()
    file.write_bytes(forged + hashlib.sha256(forged).digest())
    with pytest.raises(ValueError, match=message):
        CALLS["train_rbm"](checkpoint=file)


def test_a_file_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    seen = []
    for file, message in ((tmp_path / "no" / "a.npz", "no folder"), (tmp_path, "is a folder")):
        for call in (run_rbm, CALLS["train_rbm"]):
            with pytest.raises(ValueError, match=message):
                call(progress=seen.append, checkpoint=file)
    assert not seen


def test_parameters_of_the_user_are_not_changed(tmp_path):
    params = jax.tree.map(np.array, parameters())
    before = jax.tree.map(np.copy, params)
    rbm(MODEL, params, X, KEY, **SHORT, checkpoint=tmp_path / "a.npz")
    for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_model_or_with_traced_arrays_there_is_nothing_to_watch(tmp_path):
    with pytest.raises(TypeError, match="metainit: progress and checkpoint belong to a call with"):
        metainit(progress=print)
    with pytest.raises(ValueError, match="train_rbm: checkpoint is given inside jit or vmap"):
        jax.vmap(lambda key: train_rbm(X, 4, key, checkpoint=tmp_path / "a.npz"))(
            jax.random.split(KEY, 2)
        )


def test_plain_arrays_keep_keys_and_low_precision():
    tree = {"key": jax.random.key(1), "low": jnp.arange(3, dtype=jnp.bfloat16), "no": None}
    plain = to_plain_arrays(tree)
    assert {each.dtype.name for each in plain.values()} == {"uint32", "uint16"}
    back = from_plain_arrays(plain, jax.eval_shape(lambda: tree))
    assert back["low"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(back["low"], tree["low"])
    np.testing.assert_array_equal(
        jax.random.key_data(back["key"]), jax.random.key_data(tree["key"])
    )
