"""What training goes on from when it is interrupted: the epoch that is done, the weights, and SGD's momentum.

Random numbers need no keeping: those of an epoch follow from the seed, the epoch and the rank (mnist.py), so that a
run that is interrupted ends with the very model of one that is not.
"""

import inspect

import torch

NAME = "checkpoint.pt"


def save(folder, epoch, model, optimizer):
    """Replace the checkpoint in one move: whoever copies the folder at this moment finds the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (NAME + ".part")
    momentum = [optimizer.state[parameter].get("momentum_buffer") for parameter in model.parameters()]
    torch.save({"epoch": epoch, "model": model.state_dict(), "momentum": momentum}, str(part))
    part.replace(folder / NAME)


def load(folder, model, optimizer, device):
    """Put what was saved into model and optimizer; the epoch that is done, 0 where there is no checkpoint."""
    path = folder / NAME
    if not path.is_file():
        return 0
    # Only tensors and numbers, no pickled code. torch 1.12 cannot say so yet.
    safe = {"weights_only": True} if "weights_only" in inspect.signature(torch.load).parameters else {}
    saved = torch.load(str(path), map_location=device, **safe)
    model.load_state_dict(saved["model"])
    for parameter, buffer in zip(model.parameters(), saved["momentum"]):  # noqa: B905 (Python 3.8 has no strict)
        if buffer is not None:
            optimizer.state[parameter]["momentum_buffer"] = buffer
    return saved["epoch"]
