"""Healthy convolutional networks."""

import jax
import jax.numpy as jnp
from diagnostics.zoo.parts import IMAGES, OUTPUTS, SET_LABELS, Network, batch_norm, conv, stack
from flax import linen as nn
from jax.nn import gelu, relu, sigmoid, silu

CHANNELS = 16
KERNEL = (3, 3, CHANNELS, CHANNELS)
HE = nn.initializers.he_normal()


def group_norm(h):
    grouped = h.reshape(*h.shape[:-1], 4, -1)
    centered = grouped - grouped.mean((1, 2, 4), keepdims=True)
    variance = (centered**2).mean((1, 2, 4), keepdims=True)
    return (centered * jax.lax.rsqrt(variance + 1e-6)).reshape(h.shape)


def plain(p, h):
    return relu(conv(h, p["w"]))


def residual(p, h):
    inner = relu(batch_norm(conv(h, p["first"])))
    return relu(h + batch_norm(conv(inner, p["second"])))


def pre_activation(p, h):
    h = h + conv(relu(batch_norm(h)), p["first"]) / 2
    return h + conv(relu(batch_norm(h)), p["second"]) / 2


def squeeze_and_excite(p, h):
    inner = batch_norm(conv(relu(batch_norm(conv(h, p["first"]))), p["second"]))
    gate = sigmoid(relu(inner.mean((1, 2)) @ p["down"]) @ p["up"])
    return relu(h + inner * gate[:, None, None])


def separable(p, h):
    h = relu(batch_norm(conv(h, p["depthwise"], groups=CHANNELS)))
    return relu(batch_norm(conv(h, p["pointwise"])))


def inverted_bottleneck(p, h):
    inner = silu(batch_norm(conv(h, p["expand"])))
    inner = silu(batch_norm(conv(inner, p["depthwise"], groups=2 * CHANNELS)))
    return h + batch_norm(conv(inner, p["project"]))


def modern(p, h):
    inner = group_norm(conv(h, p["depthwise"], groups=CHANNELS))
    return h + 0.3 * conv(gelu(conv(inner, p["expand"])), p["project"])


def standardized(p, h):
    w = p["w"] - p["w"].mean((0, 1, 2), keepdims=True)
    w = w * jax.lax.rsqrt((w**2).sum((0, 1, 2), keepdims=True) + 1e-6)
    return relu(group_norm(conv(h, w)))


def weight_normalized(p, h):
    norm = jnp.sqrt((p["w"] ** 2).sum((0, 1, 2), keepdims=True))
    return relu(conv(h, 2**0.5 * p["scale"] * p["w"] / norm))


def on_images(block, sizes, **options):
    return stack(
        block, sizes, stem=(3, 3, 3, CHANNELS), head=(CHANNELS, OUTPUTS), apply_stem=conv,
        finish=lambda h: h.mean((1, 2)), inputs=(IMAGES,), targets=(SET_LABELS,), **options,
    )  # fmt: skip


def flax_residual(is_training):
    """Blocks of Flax with BatchNorm in training or in evaluation mode."""

    def build(depth):
        class Net(nn.Module):
            @nn.compact
            def __call__(self, x):
                x = nn.Conv(CHANNELS, (3, 3), use_bias=False)(x)
                for _ in range(depth // 2):
                    y = relu(
                        self.norm(nn.Conv(CHANNELS, (3, 3), use_bias=False, kernel_init=HE)(x))
                    )
                    y = nn.Conv(CHANNELS, (3, 3), use_bias=False, kernel_init=HE)(y)
                    x = relu(x + self.norm(y, nn.initializers.zeros))
                return nn.Dense(OUTPUTS)(x.mean((1, 2)))

            def norm(self, y, scale_init=nn.initializers.ones):
                return nn.BatchNorm(use_running_average=not is_training, scale_init=scale_init)(y)

        def apply(variables, x):
            return Net().apply(variables, x, mutable=["batch_stats"])[0]

        return Network(lambda key: Net().init(key, IMAGES), apply, (IMAGES,), targets=(SET_LABELS,))

    return build


def u_net(depth):
    """Convolutions, halved and doubled again, with joins of equal resolutions."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            skips = []
            for level in range(2):
                x = self.convolve(x, 8 * 2**level)
                skips.append(x)
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = self.convolve(x, 32)
            for level in (1, 0):
                x = x.repeat(2, 1).repeat(2, 2)
                x = self.convolve(jnp.concatenate([x, skips[level]], -1), 8 * 2**level)
            return nn.Conv(3, (1, 1))(x)

        def convolve(self, x, channels):
            for _ in range(max(depth // 8, 1)):
                x = relu(nn.Conv(channels, (3, 3), kernel_init=HE)(x))
            return x

    return Network(lambda key: Net().init(key, IMAGES), Net().apply, (IMAGES,), targets=(IMAGES,))


NETWORKS = {
    "convolutions": on_images(plain, {"w": (KERNEL, 2.0)}),
    "residual blocks": on_images(residual, {"first": (KERNEL, 2.0), "second": (KERNEL, 2.0)}),
    "pre-activation blocks": on_images(
        pre_activation, {"first": (KERNEL, 2.0), "second": (KERNEL, 2.0)}
    ),
    "squeeze and excite": on_images(
        squeeze_and_excite,
        {
            "first": (KERNEL, 2.0),
            "second": (KERNEL, 2.0),
            "down": ((CHANNELS, 4), 2.0),
            "up": (4, CHANNELS),
        },
    ),
    "separable": on_images(
        separable,
        {"depthwise": ((3, 3, 1, CHANNELS), 2.0), "pointwise": ((1, 1, CHANNELS, CHANNELS), 2.0)},
    ),
    "inverted bottlenecks": on_images(
        inverted_bottleneck,
        {
            "expand": ((1, 1, CHANNELS, 2 * CHANNELS), 2.0),
            "depthwise": ((3, 3, 1, 2 * CHANNELS), 2.0),
            "project": (1, 1, 2 * CHANNELS, CHANNELS),
        },
    ),
    "modern blocks": on_images(
        modern,
        {
            "depthwise": (7, 7, 1, CHANNELS),
            "expand": ((1, 1, CHANNELS, 4 * CHANNELS), 2.0),
            "project": (1, 1, 4 * CHANNELS, CHANNELS),
        },
    ),
    "standardized": on_images(standardized, {"w": KERNEL}),
    "weight-normalized": on_images(
        weight_normalized, {"w": KERNEL}, extra={"scale": jnp.ones((1, 1, 1, CHANNELS))}
    ),
    "ResNet in training": flax_residual(True),
    "ResNet in evaluation": flax_residual(False),
    "U-net": u_net,
}
