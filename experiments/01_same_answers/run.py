"""Write the answers of jinit for a fixed set of models to a file, or compare them with one.

    python run.py write OLD.json      # at the commit before a move or a renaming
    python run.py compare OLD.json    # at the commit after it: exit code 1 if an answer differs

An answer is a number, a shape, a path, a role, a verdict or the SHA-256 of the bits of an array.
Messages (causes, cures, reasons, notes) are left out: a renaming may reword them.
"""

import hashlib
import itertools
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from architectures import gpt2, lstm, mixer, moe, resnet, unet, vit

import jinit
from jinit import recipes, theory

SHAPES = ((3, 2, 32, 32), (64, 64), (64,))
MESSAGES = ("cause", "cure", "reason", "notes", "advice", "text", "versions", "git_revision")
# Words of plain data that were renamed on purpose, old to new.
RENAMED = {"told": "stated"}
NETWORKS = {
    "gpt2": (gpt2, "GPT2", gpt2.Config(50, 16, 32, 4, 2, False), (2, 8)),
    "resnet": (resnet, "ResNet", resnet.Config(10, 3, 16, (2, 1)), (4, 32, 32, 3)),
    "vit": (vit, "ViT", vit.Config(10, 3, 16, 4, 32, 4, 2), (2, 16, 16, 3)),
    "mixer": (mixer, "Mixer", mixer.Config(10, 3, 16, 4, 32, 2, 24, 64), (2, 16, 16, 3)),
    "moe": (moe, "MoE", moe.Config(50, 16, 32, 4, 1, 4, 2), (2, 8)),
    "unet": (unet, "UNet", unet.Config(2, 1, 8, 2), (2, 16, 16, 1)),
    "lstm": (lstm, "LSTM", lstm.Config(50, 16, 2), (2, 8)),
}
RECIPES = ("pytorch", "keras", "gpt2", "fixup", "t5", "vit_timm")


def bits(value: Any) -> str:
    """Shape, dtype and a hash of the bytes of an array."""
    array = np.asarray(value)
    return f"{array.dtype}{list(array.shape)}:{hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def attempt(answer: Any) -> Any:
    """The answer of a call, or the kind of error that it raises."""
    try:
        return answer()
    except Exception as error:  # noqa: BLE001 - an error is an answer, too
        return f"raises {type(error).__name__}"


def plain(value: Any) -> Any:
    """A value as JSON, without messages; floats to nine digits, NaN by name."""
    if isinstance(value, dict):
        return {
            RENAMED.get(str(name), str(name)): plain(each)
            for name, each in value.items()
            if name not in MESSAGES
        }
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, np.ndarray | jax.Array):
        return bits(value) if value.dtype != object else plain(list(value))
    return value if isinstance(value, int | bool | None) else RENAMED.get(str(value), str(value))


def draws() -> dict[str, Any]:
    """Every initializer of the catalog in three shapes."""
    key = jax.random.key(11)
    return {
        f"{entry.name} {shape}": attempt(
            lambda entry=entry, shape=shape: bits(entry.example(key, shape))
        )
        for entry in jinit.CATALOG
        for shape in SHAPES
    }


def row(each: Any) -> dict[str, Any]:
    """The promised columns of a row of a plan."""
    names = ("path", "shape", "role", "fan_in", "fan_out", "activation", "initializer", "std")
    return {name: plain(getattr(each, name)) for name in names}


def leaves(tree: Any) -> dict[str, str]:
    """Bits of every array by path."""
    flat = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): bits(leaf) for path, leaf in flat}


def network(name: str) -> dict[str, Any]:
    """What jinit says of one architecture in Linen."""
    module, suffix, config, shape = NETWORKS[name]
    key, tokens = jax.random.key(5), len(shape) == 2
    x = jax.random.randint(key, shape, 0, 50) if tokens else jax.random.normal(key, shape)
    net = getattr(module, f"Linen{suffix}")(config)
    model = jinit.linen.trace(net, x)
    params = jinit.init(model, key)
    found = {
        "own": leaves(params),
        "fast_init": leaves(jinit.fast_init(net.init)(key, x)),
        "recommended": leaves(jinit.recommend(model).init(key)),
        "recommend": [row(each) for each in jinit.recommend(model).rows],
        "audit": sorted(str(each.path) for each in jinit.audit(model, params)),
        "diagnose": plain(jinit.diagnose(model, params, x).to_dict()),
        "diagnose seeds": plain(jinit.diagnose(model, None, x, key=key, seeds=3).to_dict()),
    }
    for recipe in RECIPES:
        found[f"recipe {recipe}"] = attempt(
            lambda recipe=recipe: [
                row(each) for each in jinit.plan(model, getattr(recipes, recipe)()).rows
            ]
        )
    return found


def mlp(activation: Any, depth: int) -> dict[str, Any]:
    """Diagnoses of plain networks at three scales."""

    def apply(params: Any, x: jax.Array) -> jax.Array:
        for kernel in params[:-1]:
            x = activation(x @ kernel)
        return x @ params[-1]

    sizes = [16, *[64] * depth, 10]
    shapes = [jax.ShapeDtypeStruct(pair, jnp.float32) for pair in itertools.pairwise(sizes)]
    x = jax.random.normal(jax.random.key(3), (64, 16))
    labels = jnp.arange(64) % 10
    model = jinit.trace(apply, shapes, x)
    found = {}
    for name in ("he_normal", "lecun_normal", "orthogonal", "zeros", "sigmoid_uniform"):
        params = jinit.init(model, jax.random.key(1), {"**": name})
        found[name] = plain(jinit.diagnose(model, params, x, labels).to_dict())
    return found


def fields(value: Any) -> list[Any]:
    """Values of the fields of a result, whatever kind of value it is."""
    return plain(list(value if isinstance(value, tuple) else vars(value).values()))


def numbers() -> dict[str, Any]:
    """Theory of several activations."""
    found: dict[str, Any] = {}
    for name in ("relu", "tanh", "gelu", "silu", "selu", "sigmoid"):
        phi = getattr(jax.nn, name)
        found[name] = [
            plain(theory.gain(phi)),
            fields(theory.fixed_point(phi, 1.5, 0.1)),
            attempt(lambda phi=phi: fields(theory.critical_point(phi, 1.0))),
            plain(theory.c_map(phi, 0.3, 1.0, 1.5, 0.1)),
            plain(theory.ntk_condition_number(phi, points=8, depth=5)),
        ]
    found["finite_width"] = fields(theory.finite_width([64] * 4))
    found["spectrum"] = plain(
        theory.jacobian_spectrum(jax.nn.relu, depth=5, ensemble="orthogonal").maximum
    )
    return found


def records() -> list[Any]:
    """Rows of a small sweep, without times."""
    data = np.random.default_rng(5)
    targets = data.integers(0, 3, 120)
    inputs = data.normal(size=(120, 6)) + 1.5 * np.eye(6)[targets]
    task = jinit.Task(
        "clusters", (inputs[:90], targets[:90]), (inputs[90:], targets[90:]), batch_size=16
    )

    def build(config: dict) -> Any:
        sizes = {"depth": 2, "width": 8, "activation": config["activation"]}
        return jinit.sweep.mlp(6, 3, **sizes, init=config["init"])

    space = jinit.grid(
        init=["he_normal", "orthogonal", "zeros"], activation=["relu", "tanh"], lr=[1e-2, 300.0]
    )
    sweep = jinit.Sweep(task, build, space, seeds=2, steps=20)
    with tempfile.TemporaryDirectory() as directory:
        frame = sweep.run(Path(directory) / "run").frame()
    timed = [name for name in frame if name.endswith(("seconds", "version", "started_at"))]
    rows = frame.drop(columns=timed).to_dict("records")
    return sorted((plain(each) for each in rows), key=json.dumps)


def answers() -> dict[str, Any]:
    """All of them."""
    found: dict[str, Any] = {"draws": draws(), "theory": numbers(), "records": records()}
    for name in NETWORKS:
        found[name] = network(name)
    for name in ("relu", "tanh", "gelu", "sigmoid"):
        found[f"mlp {name}"] = mlp(getattr(jax.nn, name), 12)
    return json.loads(json.dumps(found))


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Places where two answers differ, with both."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in old  # what is new is no change of an old answer
            for line in differences(old.get(name), new.get(name), f"{place}/{name}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for n, (a, b) in pairs for line in differences(a, b, f"{place}/{n}")]
    return [] if old == new else [f"{place}: {old} -> {new}"]


def main() -> int:
    """Write or compare; see the head of the file."""
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "compare"):
        print(__doc__)
        return 2
    file, found = Path(sys.argv[2]), answers()
    if sys.argv[1] == "write":
        file.write_text(json.dumps(found, indent=1))
        return 0
    lines = differences(json.loads(file.read_text()), found)
    print("\n".join(lines) or "every answer is the same")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
