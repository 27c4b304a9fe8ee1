# %% [markdown]
# # The first hour after PyTorch
#
# Six habits of `torch.nn.init`, and what takes their place. PyTorch need not be installed.

# %%
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

import jinit
from jinit import theory

# %% [markdown]
# ## 1. Initializers return weights, and draw from a key
#
# `nn.init.kaiming_normal_(w)` writes into a tensor, with numbers from a global generator. Here an
# initializer is a value; calling it with a key, a shape and a dtype returns an array, the same
# one each time.

# %%
init = jinit.kaiming_normal()
weights = init(jax.random.key(0), (64, 256))
assert (weights == init(jax.random.key(0), (64, 256))).all()

# %% [markdown]
# Names of PyTorch are answered with the name here:

# %%
for name in ("kaiming_uniform_", "trunc_normal_", "calculate_gain"):
    try:
        getattr(jinit, name)
    except AttributeError as error:
        print(error)

# %% [markdown]
# ## 2. Kernels are transposed
#
# `torch.nn.Linear` stores `(out, in)`, and convolutions `(out, in, height, width)`. Flax stores
# `(in, out)` and `(height, width, in, out)`, and initializers read their fans accordingly.
# Weights of a checkpoint are transposed:

# %%
torch_linear = np.zeros((256, 64), np.float32)  # state_dict()["weight"] of Linear(64, 256)
torch_conv = np.zeros((32, 16, 3, 3), np.float32)  # of Conv2d(16, 32, 3)
assert torch_linear.T.shape == (64, 256)
assert torch_conv.transpose(2, 3, 1, 0).shape == (3, 3, 16, 32)
assert abs(float(init(jax.random.key(0), (3, 3, 16, 32)).std()) - (2 / (9 * 16)) ** 0.5) < 0.005

# %% [markdown]
# ## 3. The defaults differ
#
# `torch.nn.Linear` draws `kaiming_uniform_(a=sqrt(5))`, which is U(±1/√fan_in) with a third of
# LeCun's variance, and biases from the same interval. Flax draws LeCun's normal kernels and zero
# biases. A port that is meant to train alike takes PyTorch's:


# %%
class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(6):
            x = nn.tanh(nn.Dense(128)(x))
        return nn.Dense(10)(x)


inputs, labels = jinit.tasks.digits().train
model = jinit.linen.trace(Net(), inputs[:1])
params = jinit.init(model, jax.random.key(0), jinit.recipes.pytorch())
kernel, bias = params["params"]["Dense_1"]["kernel"], params["params"]["Dense_1"]["bias"]
assert 0.99 / 128**0.5 < float(jnp.abs(kernel).max()) <= 1 / 128**0.5
assert float(jnp.abs(bias).max()) <= 1 / 128**0.5

# %% [markdown]
# ## 4. Functions that walk over modules become rules
#
# Instead of `model.apply(init_weights)` with `isinstance`, rules select by what a parameter does
# (`role`) or by its path. Each parameter has a key of its own, from its path: a layer more
# changes no other layer.

# %%
rules = [
    jinit.Rule(jinit.zeros, role="bias"),
    jinit.Rule(jinit.normal(0.02), path="**/Dense_6/kernel"),
    jinit.Rule(jinit.xavier_uniform()),
]
print(jinit.plan(model, rules))

# %% [markdown]
# ## 5. `calculate_gain("tanh")` is 5/3, and chaotic in depth
#
# It keeps the variance of one layer. In a chain every layer stretches small differences, and
# gradients grow:

# %%
print("PyTorch:", theory.fixed_point(jnp.tanh, (5 / 3) ** 2, 0.0).phase)
print("gain 1:", theory.fixed_point(jnp.tanh, 1.0, 0.0).phase)
assert theory.fixed_point(jnp.tanh, (5 / 3) ** 2, 0.0).phase == "chaotic"
print(jinit.recommend(model))

# %% [markdown]
# ## 6. Loops over seeds become one program
#
# Here 3 initializations × 2 rates × 4 seeds train side by side. The answer names what cannot be
# told apart.


# %%
class Tuned(nn.Module):
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x):
        for _ in range(6):
            x = nn.tanh(nn.Dense(64, kernel_init=self.kernel_init)(x))
        return nn.Dense(10, kernel_init=self.kernel_init)(x)


space = jinit.grid(init=["torch_default", "lecun_normal", "orthogonal"], lr=[1e-3, 3e-3])
sweep = jinit.Sweep(
    jinit.tasks.digits(), lambda config: Tuned(config["init"]), space, seeds=4, steps=100
)
results = sweep.run("pytorch_sweep")
for best in results.best():
    print(best.sentence)
