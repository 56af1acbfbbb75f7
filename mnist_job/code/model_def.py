"""The network, and everything that training and serving must agree on: how pixels become its input, and how
its weights are kept. Imported by mnist.py and by inference.py, so that the two cannot drift apart."""

import inspect

import torch
import torch.nn.functional as F  # noqa: N812 (the name that all of torch's documentation uses)
from torch import nn

# Mean and standard deviation of all pixels of MNIST's training images, on the scale 0 to 1.
MEAN, STD = 0.1307, 0.3081


class Net(nn.Module):
    """The network of PyTorch's classic MNIST example: two convolutions, two linear layers.

    Takes (n, 1, 28, 28) normalised pixels, float32; gives (n, 10) logarithms of probabilities.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def normalise(pixels):
    """Pixels 0 to 255, any dtype, (n, 28, 28) or (n, 1, 28, 28) → the network's input (n, 1, 28, 28)."""
    return pixels.to(torch.float32).div(255).sub_(MEAN).div_(STD).reshape(-1, 1, 28, 28)


def save_weights(model, path):
    """Write the model's state_dict, on the CPU whatever it was trained on, so that any host can load it."""
    torch.save({name: value.detach().cpu().clone() for name, value in model.state_dict().items()}, path)


def load_weights(path, device):
    """A Net with the weights of `path`. Raises FileNotFoundError, RuntimeError (of another network)."""
    # Only tensors, no pickled code, since a model file comes from elsewhere. torch 1.12 cannot say so yet.
    safe = {"weights_only": True} if "weights_only" in inspect.signature(torch.load).parameters else {}
    model = Net()
    model.load_state_dict(torch.load(path, map_location=device, **safe))
    return model.to(device)
