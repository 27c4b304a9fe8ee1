"""Take the cures of a diagnosis literally, as a user would who types what they say."""

import re

import jax
import jax.numpy as jnp
from diagnostics.mixing import layer_norm

import jinit
from jinit import diagnose
from jinit.diagnostics.judging.operation_names import OperationNamer
from jinit.model import Dataflow, apply_taps

_CALL = re.compile(r"jinit\.(?:init|recommend)\(model.*\)$")
_ARGUMENTS = re.compile(r"(?:, )?(\w+_init)=(jinit\.\w+(?:\([^()]*\))?)(?=, \w+_init=|$)")
_PARAMETER = re.compile(r"(?:initialize (\S+) with )?(jinit\.\w+(?:\([^()]*\))?)(?: for (\S+),)?")
_RESCALE = re.compile(
    r"(?:(divide|multiply) by (\S+)|normalize) after (.*?)(?:, or normalize|: nn)"
)
_LAYERS = re.compile(r"between \S+ and (\S+?),? (?:makes|change)")
MAX_STEPS = 3
"""Diagnoses with a fault that may follow each other: a fault can hide another one."""


def evaluate(code, **names):
    """The value of an expression in a cure."""
    return eval(code, {"jinit": jinit, "jax": jax, "jnp": jnp, **names})  # noqa: S307


def kernel_path(model, path):
    """The path of a layer's kernel: layers that share one have numbers."""
    return model.paths[_contraction(model, path).kernel]


def _contraction(model, path):
    return model.contractions[model.layers[model.layer_names.index(path)].contraction]


def write(model, params, path, initializer, key):
    """The parameters with one of them drawn by an initializer."""
    leaves, tree = jax.tree.flatten(params)
    number = model.paths.index(path)
    leaf = leaves[number]
    leaves[number] = initializer(jax.random.fold_in(key, number), leaf.shape, leaf.dtype)
    return jax.tree.unflatten(tree, leaves)


def take(fault, model, params, key):
    """The parameters after a cure that is about parameters."""
    cure, layer = fault.cure, fault.source if fault.source in model.layer_names else fault.path
    if call := _CALL.search(cure):
        return evaluate(call[0], model=model, params=params, key=key)
    if cure == "give each its own key: jax.random.split(key)":
        std = model.by_path(params)[kernel_path(model, layer)].std()
        return write(model, params, kernel_path(model, layer), jinit.normal(std.item()), key)
    if arguments := _ARGUMENTS.findall(cure):
        kernel = kernel_path(model, layer)
        for name, code in arguments:
            path = model.leaf(kernel).bias_path if name == "bias_init" else kernel
            params = write(model, params, path, evaluate(code), key)
        return params
    first, code, second = _PARAMETER.match(cure.split(" or ")[0]).groups()
    return write(model, params, first or second, evaluate(code), key)


def rescale(faults, model):
    """The model after cures that divide, multiply or normalize the results of operations."""
    taps = {}
    for fault in faults:
        taps |= dict.fromkeys(_named_operations(fault, model), _tap(fault))

    def apply(params, *inputs):
        outputs, _ = apply_taps(model.graph, jax.tree.leaves((params, inputs)), taps)
        return outputs[0]

    return jinit.trace(apply, model.params, *model.inputs)


def _tap(fault):
    word, value, _ = _RESCALE.match(fault.cure).groups()

    def change(operands, result, probe):
        del operands, probe
        if word is None:
            return layer_norm(result), None
        return (result / float(value) if word == "divide" else result * float(value)), None

    return change


def _named_operations(fault, model):
    """The places of the operations that a cure names, between the layers that the cause names."""
    layers = {each.place for each in model.contractions}
    flow = Dataflow(model.graph, frozenset(layers))
    names = {_contraction(model, name).place: name for name in reversed(model.layer_names)}
    namer = OperationNamer(flow, names.__getitem__, model.paths)
    following = _contraction(model, _LAYERS.search(fault.cause)[1])
    before = flow.operations_before([flow.operands(following.place)[following.signal_operand]])
    operations = [each for each in before if each not in layers]
    name = _RESCALE.match(fault.cure)[3]
    if name == "these operations" or re.match(r"the sum of \d+ results", name):
        return operations[-1:]
    found = [each for each in operations if namer.text(each) == name]
    assert found, fault
    return found


def heal(model, params, *batch, steps=MAX_STEPS, **options):
    """Take all cures until there are no faults; return the diagnoses, the last one included.

    Where a signal overflows, nothing is known of the layers after it until it is cured.
    """
    found = []
    for number in range(steps + 1):
        found.append(diagnose(model, params, *batch, **options))
        if found[-1].healthy or number == steps:
            break
        code = [fault for fault in found[-1].faults if _RESCALE.match(fault.cure)]
        for fault in found[-1].faults:
            if fault not in code:
                params = take(fault, model, params, jax.random.key(100 + number))
        model = rescale(code, model) if code else model
    return found
