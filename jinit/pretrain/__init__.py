"""Unsupervised pre-training: Boltzmann machines, autoencoders, and networks layer by layer."""

from jinit.pretrain.autoencoder_training import AutoencoderTrainer, train_autoencoder
from jinit.pretrain.boltzmann_machine import Rbm
from jinit.pretrain.contrastive_divergence import contrastive_divergence
from jinit.pretrain.fine_tuning import fine_tune
from jinit.pretrain.greedy import greedy
from jinit.pretrain.one_layer_autoencoder import Autoencoder
from jinit.pretrain.one_trainer import autoencoder, rbm
from jinit.pretrain.plots import plot_filters, plot_history
from jinit.pretrain.rbm_likelihood import (
    estimate_log_partition,
    estimate_pseudo_log_likelihood,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
)
from jinit.pretrain.rbm_training import RbmTrainer, train_rbm
from jinit.pretrain.trainer import Trainer
from jinit.pretrain.unroll import DeepAutoencoder, train_stack, unroll

__all__ = [
    "Autoencoder",
    "AutoencoderTrainer",
    "DeepAutoencoder",
    "Rbm",
    "RbmTrainer",
    "Trainer",
    "autoencoder",
    "contrastive_divergence",
    "estimate_log_partition",
    "estimate_pseudo_log_likelihood",
    "fine_tune",
    "greedy",
    "log_likelihood",
    "log_partition",
    "plot_filters",
    "plot_history",
    "pseudo_log_likelihood",
    "rbm",
    "train_autoencoder",
    "train_rbm",
    "train_stack",
    "unroll",
]
