"""Steady speed: every library in one process, in interleaved rounds."""

import measure

import draws


def rounds(libraries: list[str], distribution: str, shape: list[int], dtype: str, rounds: int):
    """Seconds per draw, round by round; for a library that cannot draw this, the reason."""
    calls, answers = {}, {}
    for name in libraries:
        try:
            rival = draws.library(name)
            rival.start()
            calls[name] = rival.sampler(distribution, tuple(shape), dtype)
        except draws.UnsupportedError as reason:
            answers[name] = {"unsupported": str(reason)}
    for name, samples in measure.interleaved(calls, rounds).items():
        answers[name] = {"label": draws.library(name).LABEL, "seconds": samples}
    return answers


def device() -> str:
    """The device JAX draws on."""
    import jax

    return f"{jax.device_count()} × {jax.devices()[0].device_kind}"
