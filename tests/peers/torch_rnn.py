"""The network of `specs/char_rnn.model` in PyTorch: how long a step takes, and what validation loss it reaches.

    python torch_rnn.py bench [--units 256] [--depth 2] [--turns 64] [--batch 32] [--steps 30] [--threads 2]
    python torch_rnn.py loss --book ../../specs/data/persuasion.txt.gz [--epochs 10] [--seed 0] [--threads 2]

Prints one JSON object. Same layers, sizes, initialisers, windows, batch, optimizer, schedule and clipping as the spec;
only the random numbers are PyTorch's own. `nn.LSTM` adds two biases where the spec has one: the second stays 0.
"""

import argparse
import collections
import gzip
import json
import math
import statistics
import time

import torch
from torch import nn

START, RESERVED = 1, 4


class CharRnn(nn.Module):
    def __init__(self, vocab, units, depth, drop):
        super().__init__()
        self.embedding = nn.Embedding(vocab, units)
        self.drop = nn.Dropout(drop)
        self.lstm = nn.LSTM(units, units, depth, dropout=drop if depth > 1 else 0.0, batch_first=True)
        self.projection = nn.Linear(units, vocab)
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
            else:
                nn.init.zeros_(weight)
                weight.requires_grad_(name.startswith("bias_ih"))
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, text):
        before = nn.functional.pad(text[:, :-1], (1, 0), value=START)
        x, _ = self.lstm(self.drop(self.embedding(before)))
        return self.projection(x)


def trained(net):
    return [weight for weight in net.parameters() if weight.requires_grad]


def loss_of(net, text):
    return nn.functional.cross_entropy(net(text).flatten(0, 1), text.flatten())


def step(net, optimizer, text):
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(net, text)
    loss.backward()
    nn.utils.clip_grad_norm_(trained(net), 5)
    optimizer.step()
    return loss.item()


def bench(options):
    net = CharRnn(79, options.units, options.depth, options.drop)
    optimizer = torch.optim.Adam(trained(net), lr=0.002)
    text = torch.randint(RESERVED, 79, (options.batch, options.turns))
    for _ in range(5):
        step(net, optimizer, text)
    times = []
    for _ in range(options.steps):
        start = time.perf_counter()
        step(net, optimizer, text)
        times.append(time.perf_counter() - start)
    return {"median_ms": 1e3 * statistics.median(times), "min_ms": 1e3 * min(times)}


def windows(book, length):
    text = gzip.open(book).read().decode()
    counts = collections.Counter(text)
    order = sorted(counts, key=lambda c: (-counts[c], c))
    numbers = {c: n for n, c in enumerate(order, RESERVED)}
    whole = torch.tensor([numbers[c] for c in text])
    return whole[:len(whole) // length * length].reshape(-1, length), len(order) + RESERVED


def reached(options):
    torch.manual_seed(options.seed)
    data, vocab = windows(options.book, options.turns)
    train, validate = data[:options.split], data[options.split:]
    net = CharRnn(vocab, options.units, options.depth, options.drop)
    optimizer = torch.optim.Adam(trained(net), lr=0.002)
    total = math.ceil(len(train) / options.batch) * options.over
    at, start, curve = 0, time.perf_counter(), []
    for epoch in range(options.epochs):
        net.train()
        order = torch.randperm(len(train))
        for chosen in order.split(options.batch):
            for group in optimizer.param_groups:
                group["lr"] = 0.002 * 0.5 * (1 + math.cos(math.pi * min(at / total, 1)))
            step(net, optimizer, train[chosen])
            at += 1
        net.eval()
        with torch.no_grad():
            losses = [(loss_of(net, part).item(), len(part)) for part in validate.split(options.batch)]
        curve.append(sum(loss * n for loss, n in losses) / len(validate))
        print(f"epoch {epoch + 1}: {curve[-1]:.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    return {"seed": options.seed, "steps": at, "loss": curve[-1], "seconds": time.perf_counter() - start}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["bench", "loss"])
parser.add_argument("--book")
parser.add_argument("--units", type=int, default=192)
parser.add_argument("--depth", type=int, default=3)
parser.add_argument("--drop", type=float, default=0.2)
parser.add_argument("--turns", type=int, default=64)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--split", type=int, default=6560)
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--over", type=int, default=10, help="epochs of the schedule")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
torch.set_num_threads(options.threads)
print(json.dumps(bench(options) if options.what == "bench" else reached(options)))
