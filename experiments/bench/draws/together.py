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


def rounds_of_keys(
    libraries: list[str], distribution: str, number: int, shape: list[int], rounds: int
):
    """Seconds per draw for many keys at once, round by round."""
    rivals = {name: draws.library(name) for name in libraries}
    calls = {name: rival.many(distribution, number, tuple(shape)) for name, rival in rivals.items()}
    samples = measure.interleaved(calls, rounds)
    return {
        name: {"label": f"{rivals[name].LABEL}, vmapped in jit", "seconds": seconds}
        for name, seconds in samples.items()
    }


def device() -> str:
    """The device JAX draws on."""
    import jax

    return f"{jax.device_count()} × {jax.devices()[0].device_kind}"
