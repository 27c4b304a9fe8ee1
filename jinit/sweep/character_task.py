"""Language modelling of characters, on the English text that every Python has."""

from importlib import import_module

import numpy as np

from jinit.sweep.counts import check_count
from jinit.sweep.losses import cross_entropy
from jinit.sweep.task import Task

_OTHER = 0
"""The class of characters that are not in the training part."""

_EVALUATION_BATCH = 32
"""Windows evaluated at once: logits of many windows, times all lanes, would fill the memory."""


def characters(batch_size: int = 32, *, length: int = 64) -> Task:
    """Load Python's own language reference as a text whose next character is to be predicted.

    The text is that of `help()`, the module `pydoc_data.topics` of the standard library, about
    460,000 characters of English and examples of code; licence: PSF Licence Agreement. It differs
    slightly between versions of Python, so compare runs of one version.

    Its first 80 % are trained on, the next 10 % validated and the last 10 % tested on. Each part is
    cut into windows that do not overlap. An input is `[length]` characters and its target the same
    window one character later; both are integers, for cross-entropy at every position. Class 0
    stands for characters that are not in the training part; the others are in the order of their
    code points. `task.outputs` is the size of the vocabulary.

    Args:
      batch_size: windows per step.
      length: characters of a window.

    Returns:
      The task.

    Raises:
      ValueError: if `length` is not an integer of at least 1, or longer than the parts of the text.

    >>> task = characters(length=16)
    >>> inputs, targets = task.train
    >>> inputs.shape[1], bool((inputs[:, 1:] == targets[:, :-1]).all())
    (16, True)
    """
    length = check_count("length", length)
    text = _read_text()
    if length >= len(text) // 10:
        raise ValueError(
            f"length: expected at most {len(text) // 10 - 1} characters, a tenth of the text, "
            f"got {length}"
        )
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    cuts = [int(0.8 * len(codes)), int(0.9 * len(codes))]
    train, *others = (_windows(part, length) for part in np.split(codes, cuts))
    vocabulary = np.unique(train[1])
    train, validation, test = (
        tuple(_classes(codes, vocabulary) for codes in part) for part in (train, *others)
    )
    return Task(
        "characters",
        train,
        validation,
        batch_size,
        cross_entropy,
        test=test,
        evaluation_batch=_EVALUATION_BATCH,
    )


def _read_text() -> str:
    try:
        topics = import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise ImportError(
            "The task 'characters' needs the module pydoc_data of the standard library, which this "
            "Python lacks: install the complete standard library"
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))


def _windows(codes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return windows that do not overlap, and the same windows one character later."""
    count = (len(codes) - 1) // length
    inputs, targets = codes[: count * length], codes[1 : count * length + 1]
    return inputs.reshape(count, length), targets.reshape(count, length)


def _classes(codes: np.ndarray, vocabulary: np.ndarray) -> np.ndarray:
    """Return places in the vocabulary, counted from 1, and 0 for characters outside of it."""
    places = np.searchsorted(vocabulary, codes).clip(max=len(vocabulary) - 1)
    return np.where(vocabulary[places] == codes, places + 1, _OTHER).astype(np.int32)
