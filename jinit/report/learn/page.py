"""The learning page from its numbers."""

import os
from pathlib import Path

from jinit.report.learn.activation_lesson import activation_section
from jinit.report.learn.chain_lesson import chain_section
from jinit.report.learn.digits_lesson import digits_section
from jinit.report.learn.numbers import LessonNumbers
from jinit.report.learn.pretraining_lesson import pretraining_section
from jinit.report.learn.quiz_lesson import quiz_section
from jinit.report.learn.rate_lesson import rate_section
from jinit.report.learn.scale_lesson import scale_section
from jinit.report.learn.signal_lesson import signal_section
from jinit.report.learn.symmetry_lesson import symmetry_section
from jinit.report.page import Headline, Paragraphs, Section, write_page

_SOURCES = (
    "LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998.",
    "Hinton, Osindero & Teh, A fast learning algorithm for deep belief nets, 2006.",
    "Bengio, Lamblin, Popovici & Larochelle, Greedy layer-wise training of deep networks, 2007.",
    "Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, "
    "2010.",
    "Vincent, Larochelle, Lajoie, Bengio & Manzagol, Stacked denoising autoencoders, 2010.",
    "Glorot, Bordes & Bengio, Deep sparse rectifier neural networks, 2011.",
    "Bengio, Practical recommendations for gradient-based training of deep architectures, 2012.",
    "Saxe, McClelland & Ganguli, Exact solutions to the nonlinear dynamics of learning in deep "
    "linear neural networks, 2014.",
    "He, Zhang, Ren & Sun, Delving deep into rectifiers, 2015; Deep residual learning, 2016.",
    "Ioffe & Szegedy, Batch normalization, 2015.",
    "Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli, Exponential expressivity in deep neural "
    "networks through transient chaos, 2016.",
    "Schoenholz, Gilmer, Ganguli & Sohl-Dickstein, Deep information propagation, 2017.",
    "Pennington, Schoenholz & Ganguli, Resurrecting the sigmoid in deep learning through dynamical "
    "isometry, 2017.",
    "van Laarhoven, L2 regularization versus batch and weight normalization, 2017.",
    "Loshchilov & Hutter, Decoupled weight decay regularization, 2019.",
    "Cohen, Kaur, Li, Kolter & Talwalkar, Gradient descent on neural networks typically occurs at "
    "the edge of stability, 2021.",
)


def write_learning_page(path: str | os.PathLike[str], numbers: LessonNumbers) -> Path:
    """Write the learning page, one HTML file that needs no network.

    Args:
      path: the file to write, whose name ends in .html.
      numbers: all numbers of the page, from `jinit.lessons.compute_lessons`.

    Returns:
      The path.

    Raises:
      ValueError: if the file cannot be written.
      MissingExtraError: if Jinja is not installed.
    """
    answer = Headline(
        "Good initial weights differ from each other, and give every layer signals and gradients "
        "of the same size.",
        [
            "Nine short lessons and a quiz. You need to know what a matrix product, a variance "
            "and a gradient are.",
        ],
    )
    sections = [
        Section("In one sentence", [answer]),
        symmetry_section(numbers.symmetry),
        signal_section(tuple(numbers.signals)),
        scale_section(numbers),
        activation_section(numbers.activations),
        chain_section(numbers.chains),
        pretraining_section(numbers.greedy),
        digits_section(numbers.digits, numbers.constants.loss_of_chance),
        rate_section(numbers.rates),
        quiz_section(numbers),
        Section("Sources", [Paragraphs(_SOURCES)]),
    ]
    return write_page(
        path,
        "How to initialize a neural network",
        sections,
        subtitle=f"Numbers computed by {numbers.versions}",
    )
