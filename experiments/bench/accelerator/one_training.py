"""One training of the MLP by PyTorch on the device of the bench, data and batches on it."""

import os
import time

WARM_UP_STEPS = 20


def run(problem: str, steps: int) -> dict:
    """Train once after a short training; the seconds, or why there are none."""
    try:
        import torch
    except ModuleNotFoundError:
        return {"missing": "torch is not installed"}
    asked = os.environ.get("JAX_PLATFORMS", "")
    if asked == "tpu":
        return {"missing": "PyTorch has no TPU"}
    if asked != "cpu" and not torch.cuda.is_available():
        return {"missing": "this PyTorch finds no GPU"}
    device = torch.device("cpu" if asked == "cpu" else "cuda")
    _train(problem, WARM_UP_STEPS, device)
    begin = time.perf_counter()
    loss = _train(problem, steps, device)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "loss": loss, "device": str(device), "torch": torch.__version__}


def _train(problem: str, steps: int, device) -> float:
    """Train with fused Adam, as fast as an eager loop can; the validation loss."""
    import torch
    from torch.nn import functional
    from trials import digits, in_torch, setting

    (x, y), validation = ([each.to(device) for each in part] for part in in_torch.load(problem))
    seed, rate = setting(problem, 0)
    batches = [torch.from_numpy(each).to(device) for each in digits.batches(seed, len(x), steps)]
    model = in_torch.NETWORKS[problem]().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    for batch in batches:
        optimizer.zero_grad()
        functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        return functional.cross_entropy(model(validation[0]), validation[1]).item()
