"""Layers, activations and losses of the library in PyTorch: values and gradients for the same weights.

    python layers.py > layers.json

Each case has the statements of a model that bind `y`, the variables' values, and the gradients of `sum(y * c)` by every
float among them, where `c` is a further variable of y's shape: so the gradient by `c` is y itself. Everything is
computed in f64 from numbers of two digits, so that either side begins with the same. Images are laid out as here
(batch, height, width, channels; kernels height, width, in, out) and turned for PyTorch.
"""

import json

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
CASES = []


def numbers(shape, seed):
    """Numbers of two digits in (-1, 1), none at a place where an activation bends."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randint(-99, 100, shape, generator=generator)
    return torch.where(grid % 50 == 0, grid + 7, grid) / 100


def case(name, line, variables, compute, training=False, states=None, fixed=()):
    """`variables`: name to tensor; whole numbers and what is `fixed` have no gradient. `states`: what they become."""
    given = {key: value.clone() for key, value in variables.items()}
    for key, value in given.items():
        if value.is_floating_point() and key not in fixed:
            value.requires_grad_()
    y = compute(*given.values())
    c = numbers(tuple(y.shape), 99).requires_grad_()
    (y * c).sum().backward()
    given["c"] = c
    found = {"name": name, "line": line, "training": training, "variables": {}, "gradients": {}}
    for key, value in given.items():
        dtype = "f32" if value.is_floating_point() else "i32"
        found["variables"][key] = {"dtype": dtype, "shape": list(value.shape), "data": short(value)}
        if value.requires_grad:
            grad = value.grad if value.grad is not None else torch.zeros_like(value)
            found["gradients"][key] = short(grad, "%.8g")
    if states:
        found["states"] = {key: short(value, "%.8g") for key, value in states(given).items()}
    CASES.append(found)


def short(tensor, form="%.4g"):
    def number(x):
        x = float(form % x)
        return int(x) if x == int(x) else x

    return [number(x) for x in tensor.detach().flatten().tolist()]


X = numbers((3, 4), 1) * 3
ROWS = numbers((3, 4), 2)


def activations():
    both = {
        "relu": F.relu,
        "leaky_relu(0.1)": lambda x: F.leaky_relu(x, 0.1),
        "relu6": F.relu6,
        "elu(scale: 1.5)": lambda x: F.elu(x, 1.5),
        "selu": F.selu,
        "celu(scale: 0.7)": lambda x: F.celu(x, 0.7),
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "mish": F.mish,
        "sigmoid": torch.sigmoid,
        "log_sigmoid": F.logsigmoid,
        "tanh": torch.tanh,
        "tanh_shrink": F.tanhshrink,
        "softplus": F.softplus,
        "softsign": F.softsign,
        "hard_sigmoid": F.hardsigmoid,
        "hard_swish": F.hardswish,
        "hard_tanh(low: -0.6, high: 0.8)": lambda x: F.hardtanh(x, -0.6, 0.8),
        "hard_shrink": F.hardshrink,
        "soft_shrink": F.softshrink,
        "threshold(limit: 0.2, value: 0.1)": lambda x: F.threshold(x, 0.2, 0.1),
        "softmax": lambda x: F.softmax(x, -1),
        "softmin": lambda x: F.softmin(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "softmax(axis: 0)": lambda x: F.softmax(x, 0),
        "glu": F.glu,
        "rrelu": lambda x: F.rrelu(x, training=False),
    }
    for call, compute in both.items():
        case(call, f"y = x |> {call}", {"x": X}, compute)
    case("prelu", "y = x |> prelu", {"x": X, "y/prelu/slope": numbers((4,), 3)},
         lambda x, slope: torch.where(x > 0, x, slope * x))


def losses():
    label = torch.tensor([2, 0, 3])
    target = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]])
    sign = 2 * target - 1
    a, b, d = numbers((3, 4), 4), numbers((3, 4), 5), numbers((3, 4), 6)
    spread = numbers((3, 4), 7).abs() + 0.2
    odds = torch.tensor([[0.25, 0.25, 0.5, 0], [0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])
    one = torch.tensor([1.0, -1, 1])

    def loss(call, compute, **variables):
        pairs = ("mse", "mae", "huber", "triplet", "cosine", "margin_ranking")
        fixed = ("s",) if call.startswith(pairs) else ("s", "t")
        case(call, f"y = {call}", variables, compute, fixed=fixed)

    loss("cross_entropy(x, label)", lambda x, label: F.cross_entropy(x, label), x=X, label=label)
    loss("cross_entropy(x, label, smoothing: 0.1)",
         lambda x, label: F.cross_entropy(x, label, label_smoothing=0.1), x=X, label=label)
    loss("negative_log_likelihood(x, label)", lambda x, label: F.nll_loss(x, label), x=X, label=label)
    loss("soft_cross_entropy(x, t)", lambda x, t: F.cross_entropy(x, t), x=X, t=odds)
    loss("multi_margin(x, label)", lambda x, label: F.multi_margin_loss(x, label), x=X, label=label)
    loss("binary_cross_entropy(x, t)", lambda x, t: F.binary_cross_entropy_with_logits(x, t), x=X, t=target)
    loss("mse(x, t)", lambda x, t: F.mse_loss(x, t), x=X, t=a)
    loss("mae(x, t)", lambda x, t: F.l1_loss(x, t), x=X, t=a)
    loss("huber(x, t, delta: 0.6)", lambda x, t: F.huber_loss(x, t, delta=0.6), x=X, t=a)
    loss("smooth_l1(x, t, beta: 0.6)", lambda x, t: F.smooth_l1_loss(x, t, beta=0.6), x=X, t=a)
    loss("hinge(x, t)", lambda x, t: torch.clamp(1 - x * t, min=0).mean(), x=X, t=sign)
    loss("squared_hinge(x, t)", lambda x, t: (torch.clamp(1 - x * t, min=0) ** 2).mean(), x=X, t=sign)
    loss("soft_margin(x, t)", lambda x, t: F.soft_margin_loss(x, t), x=X, t=sign)
    loss("kl_divergence(x, t)", lambda x, t: F.kl_div(x, t, reduction="batchmean"), x=X, t=spread)
    loss("poisson_nll(x, t)", lambda x, t: F.poisson_nll_loss(x, t), x=X, t=spread)
    loss("gaussian_nll(x, v, t)", lambda x, v, t: F.gaussian_nll_loss(x, t, v), x=X, v=spread, t=a)
    loss("margin_ranking(x, t, s, margin: 0.3)",
         lambda x, t, s: F.margin_ranking_loss(x, t, s, margin=0.3), x=X, t=a, s=sign)
    loss("triplet_margin(x, t, u)", lambda x, t, u: F.triplet_margin_loss(x, t, u), x=X, t=b, u=d)
    loss("cosine_embedding(x, t, s, margin: 0.1)",
         lambda x, t, s: F.cosine_embedding_loss(x, t, s, margin=0.1), x=X, t=b, s=one)
    loss("cosine_similarity(x, t)", lambda x, t: F.cosine_similarity(x, t), x=X, t=b)

    def focal(x, t):
        """Lin et al. 2017, equation 5, by its own words."""
        p = torch.sigmoid(x)
        right = p * t + (1 - p) * (1 - t)
        return (-(0.25 * t + 0.75 * (1 - t)) * (1 - right) ** 2 * torch.log(right)).mean()

    loss("focal(x, t)", focal, x=X, t=target)


def channels_first(x):
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


def norms():
    scale, shift = numbers((4,), 8) + 1.5, numbers((4,), 9)
    image = numbers((2, 3, 2, 4), 10)
    for name, x in [("layer_norm", ROWS), ("layer_norm", image)]:
        case(f"{name} of rank {x.dim()}", f"y = x |> {name}",
             {"x": x, f"y/{name}/scale": scale, f"y/{name}/shift": shift},
             lambda x, scale, shift: F.layer_norm(x, (4,), scale, shift))
    case("rms_norm", "y = x |> rms_norm", {"x": ROWS, "y/rms_norm/scale": scale},
         lambda x, scale: F.rms_norm(x, (4,), scale, eps=1e-6))
    case("instance_norm", "y = x |> instance_norm",
         {"x": image, "y/instance_norm/scale": scale, "y/instance_norm/shift": shift},
         lambda x, scale, shift: channels_last(F.instance_norm(channels_first(x), weight=scale, bias=shift)))
    for groups in (1, 2, 4):
        case(f"group_norm of {groups}", f"y = x |> group_norm({groups})",
             {"x": image, "y/group_norm/scale": scale, "y/group_norm/shift": shift},
             lambda x, scale, shift: channels_last(F.group_norm(channels_first(x), groups, scale, shift)))
    case("local_response_norm", "y = x |> local_response_norm(3, scale: 0.5, power: 0.75, offset: 1.0)",
         {"x": image},
         lambda x: channels_last(F.local_response_norm(channels_first(x), 3, alpha=0.5, beta=0.75, k=1.0)))
    for training in (False, True):
        mean, variance = numbers((4,), 11), numbers((4,), 12).abs() + 0.5
        after = {}

        def batch_norm(x, scale, shift, running_mean, running_variance):
            m, v = running_mean.detach().clone(), running_variance.detach().clone()
            y = F.batch_norm(channels_first(x), m if training else running_mean,
                             v if training else running_variance, scale, shift, training, 0.1)
            after.update({"y/batch_norm/running_mean": m, "y/batch_norm/running_variance": v})
            return channels_last(y)

        case(f"batch_norm {'while' if training else 'not'} training", "y = x |> batch_norm",
             {"x": image, "y/batch_norm/scale": scale, "y/batch_norm/shift": shift,
              "y/batch_norm/running_mean": mean, "y/batch_norm/running_variance": variance},
             batch_norm, training, (lambda _: after) if training else None,
             fixed=("y/batch_norm/running_mean", "y/batch_norm/running_variance"))


def convolutions():
    line, image, volume = numbers((2, 7, 2), 13), numbers((2, 5, 4, 2), 14), numbers((1, 3, 3, 3, 2), 15)
    bias = numbers((4,), 16)

    def weights(w):
        """Kernel axes first, then in and out: PyTorch has out, in, kernel."""
        return w.movedim(-1, 0).movedim(-1, 1)

    def conv(name, call, x, w, run, bias=bias, layer="conv"):
        variables = {"x": x, f"y/{layer}/w": w, f"y/{layer}/b": bias}
        case(name, f"y = x |> {call}", variables,
             lambda x, w, b: channels_last(run(channels_first(x), weights(w), b)))

    conv("conv of one axis", "conv(4, kernel: 3)", line, numbers((3, 2, 4), 17),
         lambda x, w, b: F.conv1d(x, w, b, padding=1))
    conv("conv of two axes", "conv(4, kernel: [3, 5])", image, numbers((3, 5, 2, 4), 18),
         lambda x, w, b: F.conv2d(x, w, b, padding=(1, 2)))
    conv("conv of three axes", "conv(4, kernel: 2, padding: valid)", volume, numbers((2, 2, 2, 2, 4), 19),
         lambda x, w, b: F.conv3d(x, w, b))
    conv("conv with a stride", "conv(4, kernel: 3, stride: 2, padding: 1)", image, numbers((3, 3, 2, 4), 20),
         lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1))
    conv("conv with a dilation", "conv(4, kernel: 2, dilation: 2, padding: valid)", image, numbers((2, 2, 2, 4), 21),
         lambda x, w, b: F.conv2d(x, w, b, dilation=2))
    conv("conv in groups", "conv(4, kernel: 3, groups: 2)", image, numbers((3, 3, 1, 4), 22),
         lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2))
    conv("depthwise_conv", "depthwise_conv(kernel: 3, multiplier: 2)", image, numbers((3, 3, 1, 4), 23),
         lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2), layer="depthwise_conv/conv")
    case("separable_conv", "y = x |> separable_conv(4, kernel: 3)",
         {"x": image, "y/separable_conv/each/depthwise_conv/conv/w": numbers((3, 3, 1, 2), 24),
          "y/separable_conv/conv/w2": numbers((1, 1, 2, 4), 25), "y/separable_conv/conv/b": bias},
         lambda x, w, w2, b: channels_last(
             F.conv2d(F.conv2d(channels_first(x), weights(w), padding=1, groups=2), weights(w2), b)))
    case("conv_transposed", "y = x |> conv_transposed(4, kernel: 3, stride: 2, padding: valid)",
         {"x": image, "y/conv_transposed/w": numbers((3, 3, 4, 2), 26), "y/conv_transposed/b": bias},
         lambda x, w, b: channels_last(
             F.conv_transpose2d(channels_first(x), w.permute(3, 2, 0, 1), b, stride=2)))
    case("max_pool", "y = x |> max_pool(2)", {"x": image},
         lambda x: channels_last(F.max_pool2d(channels_first(x), 2)))
    case("max_pool with a stride", "y = x |> max_pool(3, stride: 1)", {"x": image},
         lambda x: channels_last(F.max_pool2d(channels_first(x), 3, 1)))
    case("average_pool", "y = x |> average_pool(3, stride: 2, padding: 1)", {"x": image},
         lambda x: channels_last(F.avg_pool2d(channels_first(x), 3, 2, 1, count_include_pad=False)))
    case("global_average_pool", "y = x |> global_average_pool", {"x": image}, lambda x: x.mean((1, 2)))
    case("global_max_pool", "y = x |> global_max_pool", {"x": image}, lambda x: x.amax((1, 2)))
    case("dense", "y = x |> dense(2)", {"x": X, "y/dense/w": numbers((4, 2), 27), "y/dense/b": numbers((2,), 28)},
         lambda x, w, b: F.linear(x, w.T, b))


def main():
    activations()
    losses()
    norms()
    convolutions()
    for found in CASES:
        found["variables"] = {key.replace("w2", "w"): value for key, value in found["variables"].items()}
        found["gradients"] = {key.replace("w2", "w"): value for key, value in found["gradients"].items()}
    lines = ",\n".join("  " + json.dumps(found) for found in CASES)
    print(f'{{"torch": "{torch.__version__.split("+")[0]}", "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
