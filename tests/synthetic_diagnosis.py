"""Plain data of diagnoses, phase diagrams and scales, without a network."""

import math

HOSTILE = "</script><img src=x onerror=alert(1)> <b>&amp; \x1b[31m"


def histogram(low=-1.0, high=1.0):
    return {"low": low, "high": high, "counts": [1, 2, 3, 2]}


def layer(number, verdict="stable", **changes):
    return {
        "path": f"params/{HOSTILE}_{number}/kernel",
        "verdict": verdict,
        "cause": "" if verdict == "stable" else f"its gain is too small {HOSTILE}",
        "cure": "" if verdict == "stable" else "kernel_init=jinit.he_normal()",
        "source": "",
        "shape": [8, 4],
        "statistics": {
            "rms": 1.0,
            "std": 0.5,
            "second_moment": 1.0,
            "gradient_rms": 0.1,
            "correlation": 0.5,
            "zero_fraction": 0.5,
            "dead_fraction": 0.25,
            "saturated_fraction": 0.0,
        },
        "predicted": {"second_moment": [1.0, 0.25, 4.0], "gradient_rms": [0.1, 0.05, 0.2]},
        "healthy": {"second_moment": [1.0, 0.01, 100.0], "gradient_rms": [0.1, 0.01, 1.0]},
        "histograms": {"preactivation": histogram(), "activation": histogram(0.0)},
    } | changes


def diagnosis(count=3, **changes):
    """A vanishing network, whose last layer is not finite and whose first has no gradient."""
    layers = [layer(number, "vanishing" if number < 2 else "stable") for number in range(count)]
    layers[0]["statistics"] |= {"gradient_rms": 0.0}
    layers[-1]["statistics"] |= {"rms": None, "second_moment": None, "correlation": None}
    layers[-1] |= {"histograms": {}}
    return {
        "verdict": "vanishing",
        "layers": layers,
        "loss": 2.5,
        "loss_name": "cross-entropy",
        "faults": layers[:2],
        "other_faults": [],
        "notes": [f"the inputs have RMS {HOSTILE}"],
        "shares": {},
        "learning_rate": {
            "verdict": "fine",
            "sentence": "nothing is wrong",
            "update_ratio": {"params/a/kernel": 0.01},
        },
        "jacobian": {
            "largest": 2.0,
            "smallest": 0.5,
            "mean_square": 1.0,
            "examples": 4,
            "singular_values": [2.0, 1.0, 0.5],
        },
        "provenance": {"jinit": "1.0", "jax": "0.10"},
    } | changes


def phases():
    return {
        "sigma_w": [0.5, 1.0, 2.0],
        "sigma_b": [0.0, 0.5],
        "depths": [],
        "growth": [[-1.0, None], [0.0, 0.1], [1.0, 1.1]],
        "correlation": [[0.9, None], [0.5, 0.6], [0.1, 0.2]],
        "chi": [[0.25, None], [1.0, 0.8], [4.0, 3.0]],
        "theory_chi": [[0.25, 0.2], [1.0, 0.9], [3.5, 3.0]],
        "phase": [["ordered", "unknown"], ["critical", "ordered"], ["chaotic", "chaotic"]],
        "own": {"sigma_w": 1.05, "sigma_b": 0.0},
    }


def scale_data(layers=2):
    """Three scales: vanishing, stable, and one at which nothing is finite."""
    names = [f"params/{HOSTILE}_{number}/kernel" for number in range(layers)]
    ranges = [[[0.1, 10.0]] * layers] * 2 + [[[None, None]] * layers]
    return {
        "scales": [0.5, 1.0, 2.0],
        "layers": names,
        "verdicts": ["vanishing", "stable", "overflowing"],
        "causes": [HOSTILE, "", "it overflows"],
        "loss": [2.3, 2.4, None],
        "loss_name": HOSTILE,
        "signal_std": [[0.1, 0.0], [1.0, 1.0], [None, None]],
        "gradient_std": [[0.1, 0.2], [1.0, 1.0], [None, None]],
        "healthy_signal": ranges,
        "healthy_gradient": ranges,
        "histograms": [[[0, 4, 4, 0]] * layers] * 3,
        "histogram_range": [-4.0, 4.0],
        "recommended": math.sqrt(2),
        "provenance": {"jinit": "1.0"},
    }
