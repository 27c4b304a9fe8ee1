"""Start networks of many activations as recommended; say what diagnose and audit find.

python run.py RESULTS.json [--activations relu tanh ...] [--networks MLP ...] [--depths 3 ...]
"""

import argparse
import itertools
import json
import pathlib
import platform
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

import jinit

Function = Callable[[jax.Array], jax.Array]
ACTIVATIONS: dict[str, Function] = {
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "selu": nn.selu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "mish": jax.nn.mish,
    "softsign": nn.soft_sign,
    "tanh": jnp.tanh,
    "erf": jax.lax.erf,
    "sin": jnp.sin,
    "hard_swish": nn.hard_swish,
    "tanh(10 z)": lambda z: jnp.tanh(10 * z),
    "sin(30 z)": lambda z: jnp.sin(30 * z),
    "3 silu(z / 2)": lambda z: 3 * nn.silu(z / 2),
    "tanh(z) + z / 10": lambda z: jnp.tanh(z) + z / 10,
    "sigmoid": nn.sigmoid,
    "softplus": nn.softplus,
    "relu squared": lambda z: nn.relu(z) ** 2,
}
"""The last three have no stable critical point."""
DEPTHS, WIDTHS, SEEDS = (3, 10, 20, 50), (64, 256), 3


class MLP(nn.Module):
    """Layers that follow each other."""

    phi: Function
    depth: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.depth):
            x = self.phi(nn.Dense(self.width)(x))
        return nn.Dense(10)(x)


class ResidualMLP(nn.Module):
    """Branches of two layers around a residual stream, without normalization."""

    phi: Function
    depth: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Dense(self.width)(x)
        for _ in range(self.depth):
            inner = self.phi(nn.Dense(self.width)(x))
            x = x + nn.Dense(self.width)(inner)
        return nn.Dense(10)(x)


class CNN(nn.Module):
    """Convolutions of a quarter of the width in channels, on images of 8 x 8 pixels."""

    phi: Function
    depth: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(-1, 8, 8, 1)
        for _ in range(self.depth):
            x = self.phi(nn.Conv(self.width // 4, (3, 3), padding="CIRCULAR")(x))
        return nn.Dense(10)(x.mean((1, 2)))


NETWORKS: dict[str, Any] = {"MLP": MLP, "residual MLP": ResidualMLP, "CNN": CNN}


def judge(network: str, activation: str, depth: int, width: int) -> dict[str, Any]:
    """Return what jinit says about the recommended start of a network, for three seeds."""
    begin = time.perf_counter()
    x, labels = jax.random.normal(jax.random.key(0), (64, 64)), jnp.arange(64) % 10
    model = jinit.linen.trace(NETWORKS[network](ACTIVATIONS[activation], depth, width), x)
    plan = jinit.recommend(model)
    verdicts, misfits, causes = Counter[str](), 0, list[str]()
    for seed in range(1, SEEDS + 1):
        params = plan.init(jax.random.key(seed))
        diagnosis = jinit.diagnose(model, params, x, labels)
        verdicts[diagnosis.verdict] += 1
        misfits += len(jinit.audit(model, params))
        causes += [f"{fault.path}: {fault.cause}" for fault in diagnosis.faults[:1]]
    warnings = {row.advice for row in plan.rows if "no stable critical point" in row.advice}
    return {
        "network": network,
        "activation": activation,
        "depth": depth,
        "width": width,
        "verdicts": dict(verdicts),
        "audit": misfits,
        "plan_says": min(warnings, default=""),
        "cause": min(causes, default=""),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--activations", nargs="+", default=list(ACTIVATIONS))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--depths", type=int, nargs="+", default=list(DEPTHS))
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    arguments = parser.parse_args()
    cases = itertools.product(
        arguments.networks, arguments.activations, arguments.depths, arguments.widths
    )
    rows = []
    for case in cases:
        row = judge(*case)
        rows.append(row)
        is_right = row["verdicts"] == {"stable": SEEDS} and not row["audit"]
        said = "" if is_right else f"{row['verdicts']} audit {row['audit']} {row['cause']}"
        print(*case, "stable" if is_right else said, f"{row['seconds']} s", flush=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}"
    record = {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "rows": rows}
    arguments.results.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
