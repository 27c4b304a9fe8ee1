"""Who takes part: jinit's sweeps and their rivals, with the ratio that jinit wants to reach."""

from dataclasses import dataclass, field
from importlib import util


@dataclass(frozen=True)
class Contender:
    """One way to train trials, in a process that it may share with others."""

    label: str
    file: str
    trials: int
    """How many trials it trains in a turn; a loop's rate does not depend on it."""
    options: dict = field(default_factory=dict)
    """What `run` gets besides the problem, the number of trials and that of steps."""
    start: str = "start"
    """The function that is called once before the first turn."""
    takes: tuple[str, ...] = ()
    """What `start` gets besides the problem."""
    initial: bool = False
    """Whether both get the file of initial parameters."""
    process: str = ""
    """Name of its process, by default that of the file."""
    package: str = ""
    """Modules that must be installed, separated by spaces."""
    every: int = 1
    """It takes part in each round whose number this divides, the first being number 0."""
    goal: float | None = None
    """By how much jinit wants to be faster."""
    against: str = ""
    """The sweep of jinit for which the goal holds, by default the first one."""
    whole: bool = False
    """Whether the goal counts the whole run of jinit, compiling and files included."""

    @property
    def worker(self) -> str:
        """Name of its process."""
        return self.process or self.file

    @property
    def is_ours(self) -> bool:
        """Whether it is jinit."""
        return self.file == "with_jinit"

    def absent(self) -> list[str]:
        """The modules that are not installed."""
        return [name for name in self.package.split() if util.find_spec(name) is None]


def sweep(lanes: int) -> Contender:
    """jinit with so many lanes, in a process of its own."""
    return Contender(
        f"jinit, {lanes} lanes",
        "with_jinit",
        lanes,
        takes=("trials", "steps"),
        process=f"with_jinit {lanes}",
    )


def by_hand(lanes: int, way: str, **others: object) -> Contender:
    """`jit(vmap(train))` or `lax.map(train)` over so many lanes and all devices."""
    name = {"vmap": "vmap", "map": "lax.map"}[way]
    return Contender(
        f"{name} by hand, {lanes} lanes",
        "with_jax_lanes",
        lanes,
        {"way": way},
        takes=("trials", "steps", "way"),
        **others,  # pyright: ignore[reportArgumentType]
    )


def torch_loop(label: str, trials: int, goal: float | None = None, **options: object) -> Contender:
    """A PyTorch loop."""
    return Contender(
        label,
        "with_torch",
        trials,
        dict(options),
        start="start_compiled" if options.get("compiled") else "start",
        initial=True,
        package="torch",
        goal=goal,
    )


def torch_lanes(label: str, lanes: int, compiled: bool) -> Contender:
    """`torch.func.vmap` over so many lanes."""
    return Contender(
        label,
        "with_torch_lanes",
        lanes,
        {"compiled": compiled},
        start="start_compiled" if compiled else "start",
        takes=("trials",),
        initial=True,
        package="torch",
        goal=1,
    )


def search(label: str, file: str, package: str, trials: int, **options: object) -> Contender:
    """A library that searches, over the same trials."""
    goal = {"goal": 10, "whole": True, "every": 3, "package": package}
    return Contender(label, file, trials, dict(options), **goal)


def of_mlp(quick: bool) -> dict[str, Contender]:
    """The contenders of the MLP."""
    found = {
        "jinit": sweep(64),
        "jinit_256": sweep(256),
        "jax": Contender("jitted Python loop (JAX)", "with_jax", 8, goal=6),
        "jax_tuned": Contender("the same, tuned", "with_jax", 16, {"tuned": True}),
        "vmap": by_hand(64, "vmap", goal=1),
        "map": by_hand(64, "map"),
        "vmap_256": by_hand(256, "vmap", goal=1, against="jinit_256"),
        "torch": torch_loop("PyTorch loop", 4, goal=25),
        "torch_fused": torch_loop("PyTorch loop, fused Adam", 4, goal=25, fused=True),
        "torch_compiled": torch_loop("the same, torch.compile", 4, fused=True, compiled=True),
        "torch_lanes": torch_lanes("torch.func.vmap, 64 lanes", 64, compiled=False),
        "torch_lanes_compiled": torch_lanes("the same, torch.compile", 64, compiled=True),
        "optuna": search("Optuna, 1 job", "with_optuna", "optuna", 64, jobs=1),
        "optuna_2": search("Optuna, 2 jobs", "with_optuna", "optuna", 64, jobs=2),
        "ray": search("Ray Tune, 1 worker per core", "with_ray", "ray pydantic", 64),
    }
    wide = ("jinit_256", "vmap_256") if quick else ()
    return {name: each for name, each in found.items() if name not in wide}


def of_network(
    loop_goal: float, hand_goal: float | None, hand_every: int = 1
) -> dict[str, Contender]:
    """The contenders of a larger network; lanes by hand take part in every so many rounds."""
    return {
        "jinit": sweep(16),
        "jax": Contender("jitted Python loop (JAX)", "with_jax", 4, goal=loop_goal),
        "jax_tuned": Contender("the same, tuned", "with_jax", 4, {"tuned": True}),
        "vmap": by_hand(16, "vmap", goal=hand_goal, every=hand_every),
        "map": by_hand(16, "map", goal=hand_goal, every=hand_every),
        "torch_fused": torch_loop("PyTorch loop, fused Adam", 4, fused=True),
    }
