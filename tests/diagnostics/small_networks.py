"""Networks that are small enough for explicit Hessians and Jacobians."""

import jax
import jax.numpy as jnp
from arrays import normals

from jinit.model import trace


def tanh_case():
    """Return a model, its weights and an integer as parameters, inputs and labels."""
    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "count": jnp.array(3),
        "w": [normals(keys[0], (4, 5)), normals(keys[1], (5, 3))],
    }
    x = normals(keys[2], (6, 4))
    model = trace(lambda p, x: jnp.tanh(x @ p["w"][0]) @ p["w"][1], params, x)
    return model, params, x, jnp.array([0, 1, 2, 0, 1, 2])
