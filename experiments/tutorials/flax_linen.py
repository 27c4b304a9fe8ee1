# %% [markdown]
# # A deep network that does not learn
#
# Twelve layers of relu, whose kernels are drawn with a standard deviation of 0.05, because a blog
# post said so. We ask why it does not learn, mend it, and check by training that it was the
# initialization.

# %%
import jax
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

import jinit

DEPTH, WIDTH = 12, 64


class Net(nn.Module):
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x):
        for _ in range(DEPTH):
            x = nn.relu(nn.Dense(WIDTH, kernel_init=self.kernel_init)(x))
        return nn.Dense(10, kernel_init=self.kernel_init)(x)


task = jinit.tasks.digits()
inputs, labels = task.train
module = Net(jinit.normal(0.05))

# %% [markdown]
# ## Read the network
#
# `trace` reads what every parameter does from the computation. Nothing is allocated; shapes would
# do for `inputs`.

# %%
model = jinit.linen.trace(module, inputs[:1])
print(model)

# %% [markdown]
# ## Ask whether it will train
#
# One forward and one backward pass are compared with theory. `jinit.audit` needs no pass at all.

# %%
key = jax.random.key(0)
params = jinit.init(model, key)
diagnosis = jinit.diagnose(model, params, inputs[:256], labels[:256])
print(diagnosis)
assert diagnosis.verdict == "vanishing"
diagnosis.plot("signal_before.png")

# %% [markdown]
# ## Take the cure
#
# The same answer as a plan for all parameters, printed before anything is drawn:

# %%
plan = jinit.recommend(model)
print(plan)
cured = plan.init(key)
print(jinit.diagnose(model, cured, inputs[:256], labels[:256]))
assert jinit.diagnose(model, cured, inputs[:256], labels[:256]).verdict == "stable"

# %% [markdown]
# ## Train as always
#
# The parameters are those that `module.init` returns, so that a TrainState takes them.


# %%
@jax.jit
def train_step(state, x, y):
    def loss(params):
        logits = state.apply_fn(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    value, gradients = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=gradients), value


def train(params, steps=100):
    state = TrainState.create(apply_fn=module.apply, params=params, tx=optax.adam(1e-3))
    for step in range(steps):
        batch = slice(64 * step % 1024, 64 * step % 1024 + 64)
        state, value = train_step(state, inputs[batch], labels[batch])
    return float(value)


before, after = train(params), train(cured)
print(f"loss after 100 steps: {before:.2f} from N(0, 0.05²), {after:.2f} as recommended")
assert after < 1 < before

# %% [markdown]
# ## Was it luck?
#
# One seed and one learning rate prove little. A sweep trains all of them as lanes of one program,
# and says which differences are larger than the seeds explain. `rules=["own", "recommended"]`
# compares the module's own initializers with the plan.

# %%
space = jinit.grid(init=[jinit.normal(0.05), "he_normal", "lecun_normal"], rules=["own"])
space = (space + jinit.grid(init=["he_normal"], rules=["recommended"])) * jinit.grid(
    lr=[1e-3, 3e-3]
)
sweep = jinit.Sweep(task, lambda config: Net(config["init"]), space, seeds=3, steps=100)
results = sweep.run("linen_sweep")
for best in results.best(["init", "rules"]):
    print(best.sentence)
results.report("linen_sweep.html")
