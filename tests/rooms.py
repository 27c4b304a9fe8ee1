"""Which room of jinit may import what: the table that the guards of architecture.py read."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Room:
    """What a room may import: rooms of jinit, libraries anywhere, libraries inside functions.

    A library in `tucked` may be imported inside functions only, and by one file of the room only.
    A room in `doors` may be entered only through the names given.
    """

    rooms: str = ""
    libraries: str = "jax numpy"
    tucked: str = ""
    doors: Mapping[str, str] = field(default_factory=dict)


# Files of the root that every room may import; they import nothing of jinit but each other.
SHARED = ("choice", "params_file", "record", "stored_file")

EVERYTHING = (
    "sampling theory initializers model gains programs rules hooks calibrate pretrain diagnostics "
    "sweep lessons report"
)

ARROWS = {
    "choice": Room(libraries=""),
    "params_file": Room(tucked="flax"),
    "record": Room(libraries=""),
    "stored_file": Room(libraries=""),
    "sampling": Room(),
    "theory": Room(libraries="jax numpy scipy"),
    "initializers": Room("sampling theory"),
    "model": Room(),
    "gains": Room("model theory"),
    "programs": Room("model sampling"),
    "rules": Room("programs gains model initializers sampling", libraries="jax numpy optax"),
    "hooks": Room("model", libraries="jax numpy flax"),
    "calibrate": Room("model initializers report", libraries="jax numpy optax"),
    "pretrain": Room("calibrate model report", libraries="jax numpy optax"),
    "diagnostics": Room("model gains theory hooks report", doors={"hooks": "read_network"}),
    "sweep": Room(
        "calibrate pretrain diagnostics rules initializers theory model hooks report",
        libraries="jax numpy optax",
        tucked="optuna pyarrow ray scipy sklearn",
        doors={"hooks": "as_model"},
    ),
    "lessons": Room(
        "theory initializers gains model diagnostics sweep report",
        libraries="jax numpy optax",
    ),
    "report": Room(
        libraries="matplotlib rich numpy scipy pandas pyarrow",
        tucked="jinja2 mlflow tensorboard trackio wandb",
    ),
    "cli": Room(EVERYTHING, libraries="jax numpy rich click"),
    "__main__": Room("cli", libraries=""),
    "__init__": Room(EVERYTHING, libraries=""),
}
