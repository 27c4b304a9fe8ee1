"""The platform on which JAX runs what names no device."""

import jax


def default_platform() -> str:
    """Return the platform of JAX's default device, such as `cpu`, `gpu` or `tpu`.

    >>> with jax.default_device(jax.devices("cpu")[0]):
    ...     default_platform()
    'cpu'
    """
    device = getattr(jax.config, "jax_default_device", None) or jax.default_backend()
    return getattr(device, "platform", device)
