"""The specs' networks in PyTorch: how long a step takes, and what accuracy they reach.

    python torch_twin.py bench mlp|lenet|digits [--steps 60] [--threads 2]
    python torch_twin.py accuracy lenet|mlp --data DIR [--epochs 3] [--seed 0]

Prints one JSON object. Same layers, sizes, batch, optimizer and update rule as the `.model` files;
initial values are PyTorch's own.
"""

import argparse
import gzip
import json
import statistics
import struct
import time

import torch
from torch import nn


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(7 * 7 * 64, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))


def mlp():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def digits():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))


# network, shape of an example, batch, rate, momentum
MODELS = {
    "lenet": (lenet, (1, 28, 28), 64, 0.02, 0.9),
    "mlp": (mlp, (1, 28, 28), 128, 0.05, 0.9),
    "digits": (digits, (1, 8, 8), 64, 0.05, 0.9),
}


def step(net, optimizer, x, y):
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    return loss


def bench(name, steps):
    make, shape, batch, rate, momentum = MODELS[name]
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)
    x, y = torch.rand(batch, *shape), torch.randint(0, 10, (batch,))
    for _ in range(10):
        step(net, optimizer, x, y)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step(net, optimizer, x, y).item()
        times.append(time.perf_counter() - start)
    return {"model": name, "batch": batch, "median_ms": 1e3 * statistics.median(times), "min_ms": 1e3 * min(times)}


def idx(path):
    data = gzip.open(path).read()
    rank = data[3]
    dims = struct.unpack(f">{rank}I", data[4:4 + 4 * rank])
    return torch.frombuffer(bytearray(data[4 + 4 * rank:]), dtype=torch.uint8).reshape(dims)


def accuracy(name, folder, epochs, seed):
    make, shape, batch, rate, momentum = MODELS[name]
    torch.manual_seed(seed)
    def load(part):
        images = idx(f"{folder}/mnist/{part}-images-idx3-ubyte.gz").float().div(255).reshape(-1, *shape)
        return images, idx(f"{folder}/mnist/{part}-labels-idx1-ubyte.gz").long()
    (x, y), (xt, yt) = load("train"), load("t10k")
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)
    start = time.perf_counter()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for i in range(0, len(x), batch):
            step(net, optimizer, x[order[i:i + batch]], y[order[i:i + batch]])
    seconds = time.perf_counter() - start
    net.eval()
    with torch.no_grad():
        right = sum((net(xt[i:i + 500]).argmax(1) == yt[i:i + 500]).sum().item() for i in range(0, len(xt), 500))
    return {"model": name, "epochs": epochs, "seed": seed, "accuracy": right / len(xt), "seconds": seconds}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["bench", "accuracy"])
parser.add_argument("model", choices=MODELS)
parser.add_argument("--steps", type=int, default=60)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--data", default=".")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
torch.set_num_threads(options.threads)
if options.what == "bench":
    print(json.dumps(bench(options.model, options.steps)))
else:
    print(json.dumps(accuracy(options.model, options.data, options.epochs, options.seed)))
