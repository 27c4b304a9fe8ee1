"""Tasks of synthetic data, whose targets a random network, the teacher, has computed."""

import itertools

import numpy as np

from jinit.sweep.counts import as_integer, check_count
from jinit.sweep.task import Task


def teacher_student(
    batch_size: int = 64,
    *,
    features: int = 16,
    width: int = 32,
    depth: int = 2,
    outputs: int = 1,
    examples: int = 4096,
    noise: float = 0.0,
    seed: int = 0,
) -> Task:
    """Generate a regression whose targets are the outputs of a random network.

    Inputs are standard normal. The teacher is an MLP with relu; its kernels are drawn with variance
    2 / fan_in, its biases with standard deviation 0.1. Its outputs are centered and divided by
    their standard deviations on the training set, and then noise is added, so that the best
    constant guess has a squared error of about 1 + noise² and the teacher has noise².

    Args:
      batch_size: examples per step.
      features: size of an input.
      width: units of each hidden layer of the teacher.
      depth: number of hidden layers of the teacher.
      outputs: numbers per target.
      examples: examples to train on; a quarter of them more to validate and to test on.
      noise: standard deviation of Gaussian noise, in units of that of the targets.
      seed: seed of the teacher and the data.

    Returns:
      The task, with a loss of squared errors.

    Raises:
      ValueError: if a size is below 1, there are less than 4 examples, or `noise` is below 0.

    Reference: Saad and Solla, On-line learning in soft committee machines, 1995.

    >>> inputs, targets = teacher_student(features=5, outputs=2, examples=100).train
    >>> inputs.shape, targets.shape, round(float((targets**2).mean()), 3)
    ((100, 5), (100, 2), 1.0)
    """
    sizes = _layer_sizes(features, width, depth, outputs)
    parts = _label(sizes, examples, noise, seed)
    return _task("teacher_student", batch_size, parts)


def teacher_student_classes(
    batch_size: int = 64,
    *,
    features: int = 16,
    width: int = 32,
    depth: int = 2,
    outputs: int = 10,
    examples: int = 4096,
    noise: float = 0.0,
    seed: int = 0,
) -> Task:
    """Generate a classification whose classes are the largest outputs of a random network.

    Inputs and teacher are those of `teacher_student`. Because the outputs have mean 0 and standard
    deviation 1 on the training set, the classes are about equally frequent. Noise is added to the
    outputs before the largest is chosen.

    Args:
      batch_size: examples per step.
      features: size of an input.
      width: units of each hidden layer of the teacher.
      depth: number of hidden layers of the teacher.
      outputs: number of classes.
      examples: examples to train on; a quarter of them more to validate and to test on.
      noise: standard deviation of Gaussian noise, in units of that of the teacher's outputs.
      seed: seed of the teacher and the data.

    Returns:
      The task, with a loss of cross-entropy.

    Raises:
      ValueError: if a size is below 1, there are less than 4 examples, or `noise` is below 0.

    >>> teacher_student_classes(outputs=3, examples=100).classes
    3
    """
    sizes = _layer_sizes(features, width, depth, outputs)
    parts = _label(sizes, examples, noise, seed)
    classes = [(inputs, targets.argmax(-1).astype(np.int32)) for inputs, targets in parts]
    return _task("teacher_student_classes", batch_size, classes)


_Parts = list[tuple[np.ndarray, np.ndarray]]


def _task(name: str, batch_size: int, parts: _Parts) -> Task:
    train, validation, test = parts
    return Task(name, train, validation, batch_size, test=test)


def _layer_sizes(features: int, width: int, depth: int, outputs: int) -> list[int]:
    hidden = [check_count("width", width)] * check_count("depth", depth)
    return [check_count("features", features), *hidden, check_count("outputs", outputs)]


def _label(sizes: list[int], examples: int, noise: float, seed: int) -> _Parts:
    """Return inputs and outputs of a random teacher: to train, to validate and to test on."""
    if (count := as_integer(examples)) is None or count < 4:
        raise ValueError(f"examples: expected an integer of at least 4, got {examples!r}")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise: expected a number of at least 0, got {noise!r}")
    rng = np.random.default_rng(seed)
    ends = [count, count + count // 4]
    inputs = rng.standard_normal((count + 2 * (count // 4), sizes[0]))
    outputs = _teach(inputs, sizes, rng)
    scaled = (outputs - outputs[:count].mean(0)) / outputs[:count].std(0)
    targets = scaled + noise * rng.standard_normal(scaled.shape)
    split = (np.split(array.astype(np.float32), ends) for array in (inputs, targets))
    return list(zip(*split, strict=True))


def _teach(inputs: np.ndarray, sizes: list[int], rng: np.random.Generator) -> np.ndarray:
    """Return the outputs of an MLP with relu and random weights."""
    signal = inputs
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        signal = signal if layer == 0 else np.maximum(signal, 0)
        kernel = rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)
        signal = signal @ kernel + 0.1 * rng.standard_normal(fan_out)
    return signal
