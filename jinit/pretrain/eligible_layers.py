"""Which layers of a network can be trained by themselves, and why the others cannot."""

from jinit.calibrate.layers import LayerSite
from jinit.model import Model


def reason_to_skip(model: Model, site: LayerSite) -> str:
    """Return why a layer cannot be trained by itself; empty if it can.

    Args:
      model: the network.
      site: the layer.

    >>> import jax.numpy as jnp
    >>> from jinit.calibrate.layers import read_sites
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4)))
    >>> reason_to_skip(model, read_sites(model)[0])
    'no bias is added to its product'
    """
    if site.reason:
        return site.reason
    return _kernel_reason(model, site) or _product_reason(site) or _bias_reason(model, site)


def _kernel_reason(model: Model, site: LayerSite) -> str:
    leaf = model.leaf(site.path)
    joined = {path for paths in model.joined_kernels for path in paths}
    if site.contraction.loop_lengths:
        return "it is in a loop, such as a recurrence or a scan over layers"
    if leaf.attention:
        return f"it computes the {leaf.attention_role} of attention"
    if not site.is_single:
        return "its kernel is applied in several places"
    if leaf.is_tied:
        return "its kernel is also a table that is looked up"
    if leaf.role != "kernel":
        return f"its kernel has the role {leaf.role!r}, expected 'kernel'"
    return "its product applies several parameters together" if site.path in joined else ""


def _product_reason(site: LayerSite) -> str:
    operation = site.operation
    if operation.name == "conv_general_dilated":
        params = operation.params
        if params["feature_group_count"] > 1 or params["batch_group_count"] > 1:
            return "it is a convolution in groups"
        return (
            "" if site.contraction.signal_operand == 0 else "its kernel is convolved by the signal"
        )
    if operation.name != "dot_general":
        return f"its product is a {operation.name}, expected a matrix product or a convolution"
    return "it is an ensemble, whose members have kernels of their own" if site.members else ""


def _bias_reason(model: Model, site: LayerSite) -> str:
    contraction = site.contraction
    if contraction.bias is None:
        return "no bias is added to its product"
    bias = model.leaf(model.paths[contraction.bias])
    if bias.use_count > 1:
        return "its bias is added in several places"
    return "" if bias.role == "bias" else f"what is added to its product has the role {bias.role!r}"


def other_parameters(model: Model) -> dict[str, str]:
    """Return the parameters with products that are not layers here, and why, by path.

    Args:
      model: the network.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: w[x], jnp.ones((4, 3)), jnp.ones(2, int))
    >>> other_parameters(model)
    {'': 'it is looked up, not multiplied'}
    """
    embeddings = {
        leaf.path: "it is looked up, not multiplied"
        for leaf in model.leaves
        if leaf.role == "embedding"
    }
    return embeddings | dict.fromkeys(model.complex_kernels, "its products are complex")
