"""Figures of trained machines and autoencoders: what the methods hand on, and what they refuse."""

import jax.numpy as jnp
import numpy as np
import pytest

from jinit.pretrain import Autoencoder, Rbm, plot_filters, unroll

RBM = Rbm(jnp.eye(16)[:, :12], jnp.zeros(16), jnp.zeros(12))
AUTOENCODER = Autoencoder(jnp.eye(16)[:, :12], jnp.zeros(12), jnp.zeros(16))


@pytest.mark.parametrize("model", [RBM, AUTOENCODER, unroll([RBM])], ids=lambda m: type(m).__name__)
def test_the_error_in_the_title_is_that_of_the_reconstructions(model):
    examples = jnp.linspace(0, 1, 32).reshape(2, 16)
    hidden = 1 / (1 + np.exp(-np.asarray(examples)[:, :12]))
    expected = 1 / (1 + np.exp(-np.pad(hidden, ((0, 0), (0, 4)))))
    np.testing.assert_allclose(model.reconstruct(examples), expected, rtol=1e-5)
    titles = [axes.get_title(loc="left") for axes in model.plot(examples=examples).axes]
    error = ((expected - np.asarray(examples)) ** 2).mean()
    assert "12 filters of 4 × 4, largest norm first" in titles
    assert f"reconstructions: mean squared error {error:.3g} per input over 2 examples" in titles


def test_the_figure_is_written_only_if_a_path_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RBM.plot(shape=(2, 8))
    assert not list(tmp_path.iterdir())
    RBM.plot("rbm.png")
    assert (tmp_path / "rbm.png").stat().st_size


def test_examples_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="9 values each, and the model takes 16 inputs"):
        RBM.plot(examples=np.ones((2, 9)))
    with pytest.raises(ValueError, match=r"plot: the data has the shape \(16,\)"):
        RBM.plot(examples=np.ones(16))


def test_kernels_in_half_precision_are_drawn():
    figure = plot_filters(jnp.ones((3, 3, 1, 4), jnp.bfloat16))
    assert figure.axes[0].get_title(loc="left") == "4 filters of 3 × 3, largest norm first"
