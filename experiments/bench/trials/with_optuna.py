"""Optuna: each trial is the jitted Python loop, called by `study.optimize` in some threads."""

import time

import optuna

from trials import PROBLEMS, with_jax

optuna.logging.set_verbosity(optuna.logging.WARNING)


def start(problem: str) -> dict:
    """Compile the loop, which all trials of this process share."""
    return with_jax.start(problem)


def run(problem: str, trials: int, steps: int, jobs: int) -> dict:
    """Search the grid of seeds and learning rates, as Optuna stores it in memory."""
    rates = list(PROBLEMS[problem].rates)
    seeds = list(range(trials // len(rates)))
    loop = with_jax.loop(problem)

    def objective(trial: optuna.Trial) -> float:
        seed = trial.suggest_int("seed", 0, len(seeds) - 1)
        return loop.trial(seed, trial.suggest_categorical("rate", rates), steps)

    begin = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"seed": seeds, "rate": rates}))
    study.optimize(objective, n_trials=trials, n_jobs=jobs)
    seconds = time.perf_counter() - begin
    found = {(each.params["seed"], each.params["rate"]): each.value for each in study.trials}
    return {"seconds": seconds, "losses": [found[seed, rate] for seed in seeds for rate in rates]}
