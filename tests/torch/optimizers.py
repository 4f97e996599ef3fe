"""Hundred steps of every optimizer, and of every schedule, as PyTorch does them.

    python optimizers.py > optimizers.json

Two parameters of a small regression, `x @ w + b` against `t` by the mean square. Everything is computed in f64 from
numbers of three digits, so that either side begins with the same. LAMB, LARS and Lion are not in PyTorch: they are
written here from the formulas of their papers.
"""

import json
import math

import torch

torch.set_default_dtype(torch.float64)
STEPS = 100


def numbers(rows, columns, seed):
    grid = [[((i * 37 + j * 11 + seed * 17) % 41 - 20) / 20 for j in range(columns)] for i in range(rows)]
    return torch.tensor(grid)


X, T, W, B = numbers(8, 3, 1), numbers(8, 2, 2), numbers(3, 2, 3), numbers(1, 2, 4)[0]


class Own(torch.optim.Optimizer):
    """An optimizer by a formula: `move(weight, gradient, memory, step, rate)` changes the weight."""

    def __init__(self, params, lr, move):
        super().__init__(params, {"lr": lr})
        self.move = move

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                memory = self.state[p]
                memory["n"] = memory.get("n", 0) + 1
                self.move(p, p.grad, memory, memory["n"], group["lr"])


def lamb(beta1=0.9, beta2=0.999, epsilon=1e-6, decay=0.01):
    """You et al. 2019, algorithm 2, with the identity for the function of the norm."""

    def move(p, g, memory, n, rate):
        m = memory["m"] = beta1 * memory.get("m", torch.zeros_like(p)) + (1 - beta1) * g
        v = memory["v"] = beta2 * memory.get("v", torch.zeros_like(p)) + (1 - beta2) * g * g
        r = (m / (1 - beta1**n)) / (torch.sqrt(v / (1 - beta2**n)) + epsilon)
        u = r + decay * p
        p -= rate * (p.norm() / u.norm()) * u

    return move


def lars(momentum=0.9, decay=0.0, trust=0.001):
    """You et al. 2017, algorithm 1."""

    def move(p, g, memory, _, rate):
        local = trust * p.norm() / (g.norm() + decay * p.norm())
        v = memory["v"] = momentum * memory.get("v", torch.zeros_like(p)) + rate * local * (g + decay * p)
        p -= v

    return move


def lion(beta1=0.9, beta2=0.99, decay=0.0):
    """Chen et al. 2023, algorithm 2."""

    def move(p, g, memory, _, rate):
        m = memory.get("m", torch.zeros_like(p))
        p -= rate * (torch.sign(beta1 * m + (1 - beta1) * g) + decay * p)
        memory["m"] = beta2 * m + (1 - beta2) * g

    return move


O = torch.optim
OPTIMIZERS = [
    ("sgd(rate: 0.1)", lambda p: O.SGD(p, lr=0.1)),
    ("sgd(rate: 0.1, decay: 0.05)", lambda p: O.SGD(p, lr=0.1, weight_decay=0.05)),
    ("momentum(rate: 0.05, momentum: 0.8)", lambda p: O.SGD(p, lr=0.05, momentum=0.8)),
    ("momentum(rate: 0.05, decay: 0.01)", lambda p: O.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01)),
    ("momentum(rate: 0.05, nesterov: true)", lambda p: O.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    ("adam(rate: 0.02)", lambda p: O.Adam(p, lr=0.02)),
    ("adam(rate: 0.02, beta1: 0.8, beta2: 0.99, epsilon: 1e-5, decay: 0.1)",
     lambda p: O.Adam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-5, weight_decay=0.1)),
    ("adamw(rate: 0.02, decay: 0.1)", lambda p: O.AdamW(p, lr=0.02, weight_decay=0.1)),
    ("adamw(rate: 0.02, decay: 0.1, decay_vectors: false)",
     lambda p: O.AdamW([{"params": [p[0]], "weight_decay": 0.1}, {"params": [p[1]], "weight_decay": 0.0}], lr=0.02)),
    ("adamax(rate: 0.02, decay: 0.01)", lambda p: O.Adamax(p, lr=0.02, weight_decay=0.01)),
    ("nadam(rate: 0.02, decay: 0.01)", lambda p: O.NAdam(p, lr=0.02, weight_decay=0.01)),
    ("radam(rate: 0.02, decay: 0.01)", lambda p: O.RAdam(p, lr=0.02, weight_decay=0.01)),
    ("rmsprop(rate: 0.01)", lambda p: O.RMSprop(p, lr=0.01)),
    ("rmsprop(rate: 0.01, keep: 0.9, epsilon: 0.01, decay: 0.01, momentum: 0.5, centred: true)",
     lambda p: O.RMSprop(p, lr=0.01, alpha=0.9, eps=0.01, weight_decay=0.01, momentum=0.5, centered=True)),
    ("adagrad(rate: 0.05, decay: 0.01)", lambda p: O.Adagrad(p, lr=0.05, weight_decay=0.01)),
    ("adadelta(rate: 1.0, decay: 0.01)", lambda p: O.Adadelta(p, lr=1.0, weight_decay=0.01)),
    ("lamb(rate: 0.02)", lambda p: Own(p, 0.02, lamb())),
    ("lamb(rate: 0.02, decay: 0.1, beta2: 0.99)", lambda p: Own(p, 0.02, lamb(beta2=0.99, decay=0.1))),
    ("lars(rate: 10.0, decay: 0.01)", lambda p: Own(p, 10.0, lars(decay=0.01))),
    ("lion(rate: 0.003, decay: 0.1)", lambda p: Own(p, 0.003, lion(decay=0.1))),
]

S = torch.optim.lr_scheduler
SCHEDULES = [
    ("0.1 |> step_down(every: 30 steps, by: 0.5)", lambda o: S.StepLR(o, 30, gamma=0.5)),
    ("0.1 |> halve(every: 7 steps)", lambda o: S.StepLR(o, 7, gamma=0.5)),
    ("0.1 |> halve(every: 10 steps, from: 50 steps)",
     lambda o: S.LambdaLR(o, lambda n: 0.5 ** (max(n - 50, 0) // 10))),
    ("0.1 |> drop(at: [20 steps, 60 steps])", lambda o: S.MultiStepLR(o, [20, 60], gamma=0.1)),
    ("0.1 |> exponential(every: 1 steps, by: 0.97)", lambda o: S.ExponentialLR(o, 0.97)),
    ("0.1 |> cosine(over: 80 steps, to: 0.01)",
     lambda o: S.LambdaLR(o, lambda n: 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(n / 80, 1))))),
    ("0.1 |> cosine(over: 100 steps, to: 0.002)", lambda o: S.CosineAnnealingLR(o, 100, eta_min=0.002)),
    ("0.1 |> linear(over: 60 steps, power: 2.0)", lambda o: S.PolynomialLR(o, 60, power=2.0)),
    ("0.1 |> linear(over: 60 steps)", lambda o: S.PolynomialLR(o, 60, power=1.0)),
    ("0.1 |> warm_up(over: 40 steps)", lambda o: S.LambdaLR(o, lambda n: min((n + 1) / 40, 1))),
    ("0.1 |> inverse_root(over: 10 steps) |> warm_up(over: 10 steps)",
     lambda o: S.LambdaLR(o, lambda n: min((n + 1) ** -0.5 * 10**0.5, (n + 1) / 10))),
]


def run(make, schedule=None):
    w, b = W.clone().requires_grad_(), B.clone().requires_grad_()
    optimizer = make([w, b])
    scheduler = schedule(optimizer) if schedule else None
    rates, after = [], {}
    for step in range(1, STEPS + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        ((X @ w + b - T) ** 2).mean().backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        if step in (1, 10, STEPS):
            after[str(step)] = {"w": rounded(w), "b": rounded(b)}
    return after, rates


def rounded(tensor):
    return [float(f"{x:.8g}") for x in tensor.detach().flatten().tolist()]


def main():
    cases = []
    for text, make in OPTIMIZERS:
        after, _ = run(make)
        cases.append({"optimizer": text, "after": after})
    for text, schedule in SCHEDULES:
        after, rates = run(lambda p: O.SGD(p, lr=0.1), schedule)
        rates = [float(f"{rate:.12g}") for rate in rates]
        cases.append({"optimizer": f"sgd(rate: {text})", "after": after, "rates": rates})
    start = {"x": rounded(X), "t": rounded(T), "w": rounded(W), "b": rounded(B)}
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    print(f'{{"torch": "{torch.__version__.split("+")[0]}", "start": {json.dumps(start)}, "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
