# %% [markdown]
# # Flax NNX: plans, rules, and layers that are kept
#
# NNX modules hold their parameters. jinit traces the constructor instead of a module, so that no
# weights are drawn twice, and returns a module.

# %%
import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jinit


class Block(nnx.Module):
    """A residual branch without normalization."""

    def __init__(self, width, rngs):
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x):
        return x + self.down(nnx.silu(self.up(x)))


class Net(nnx.Module):
    def __init__(self, classes=10, blocks=6, *, rngs):
        self.stem = nnx.Linear(64, 32, rngs=rngs)
        self.blocks = nnx.List([Block(32, rngs) for _ in range(blocks)])
        self.head = nnx.Linear(32, classes, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(nnx.silu(x))


inputs, labels = jinit.tasks.digits().train
model = jinit.nnx.trace(Net, jax.ShapeDtypeStruct((1, 64), jnp.float32))
print(model)

# %% [markdown]
# ## What it draws now, and what it needs
#
# The plan knows that `down` ends a residual branch, and how many of them add up.

# %%
plan = jinit.recommend(model)
print(plan)
net = plan.init(jax.random.key(0))
diagnosis = jinit.diagnose(net, inputs[:256], labels[:256])
print(diagnosis)
assert diagnosis.verdict == "stable"

# %% [markdown]
# ## Rules of your own
#
# The first rule that matches a parameter counts. A rule that matches nothing is an error, and so
# is a parameter without a rule.

# %%
rules = [
    jinit.Rule(jinit.zeros, role="bias"),
    jinit.Rule(jinit.zeros, path="blocks/**/down/kernel"),  # every block starts as the identity
    jinit.Rule(jinit.he_normal()),
]
print(jinit.plan(model, rules))
net = jinit.init(model, jax.random.key(0), rules)

try:
    jinit.plan(model, [jinit.Rule(jinit.zeros, path="**/gate/**"), *rules])
except jinit.RuleError as error:
    print(error)

# %% [markdown]
# ## Train as always


# %%
@nnx.jit
def train_step(net, optimizer, x, y):
    def loss(net):
        return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

    value, gradients = nnx.value_and_grad(loss)(net)
    optimizer.update(net, gradients)
    return value


def train(net, labels, steps=60):
    optimizer = nnx.Optimizer(net, optax.adam(3e-3), wrt=nnx.Param)
    for step in range(steps):
        batch = slice(64 * step % 1024, 64 * step % 1024 + 64)
        value = train_step(net, optimizer, inputs[batch], labels[batch])
    return float(value)


loss = train(net, labels)
print(f"loss after 60 steps: {loss:.2f}")
assert loss < 0.5

# %% [markdown]
# ## A new head on trained layers
#
# Another task, odd or even, needs a head of two classes. `keep` takes what is trained, `only`
# says what is drawn.

# %%
two = jinit.nnx.trace(lambda rngs: Net(2, rngs=rngs), jax.ShapeDtypeStruct((1, 64), jnp.float32))
trained = nnx.to_pure_dict(nnx.state(net, nnx.Param))
del trained["head"]
tuned = jinit.init(two, jax.random.key(1), jinit.recommend(two), only="head/*", keep=trained)
assert (tuned.stem.kernel[...] == net.stem.kernel[...]).all()
loss = train(tuned, labels % 2)
print(f"odd or even: loss after 60 steps: {loss:.2f}")
assert loss < 0.3

# %% [markdown]
# ## Scales from data
#
# Where theory cannot read a layer, measure: LSUV scales every layer to unit variance on a batch.

# %%
params = jinit.init(model, jax.random.key(2), {"**/kernel": "orthogonal", "**/bias": "zeros"})
scaled, report = jinit.calibrate.lsuv(model, params, inputs[:256])
print(report)
