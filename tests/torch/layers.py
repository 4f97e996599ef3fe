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


def gates(w, order):
    """Gates side by side, as here, in PyTorch's order, as rows."""
    parts = w.chunk(len(order), -1)
    return torch.cat([parts[at] for at in order], -1).movedim(-1, 0)


def run(kind, order, x, w, u, b, c=None, start=None, reverse=False):
    """All outputs of a recurrent layer of PyTorch with weights laid out as here."""
    units = u.shape[0]
    net = kind(x.shape[-1], units, batch_first=True)
    names = {"weight_ih_l0": gates(w, order), "weight_hh_l0": gates(u, order), "bias_ih_l0": gates(b, order),
             "bias_hh_l0": torch.zeros(len(order) * units) if c is None
             else torch.cat([torch.zeros(2 * units), c])}
    y, _ = torch.func.functional_call(net, names, (x.flip(1) if reverse else x, start))
    return y.flip(1) if reverse else y


def recurrent():
    x, h, c = numbers((2, 5, 3), 30), numbers((2, 4), 31), numbers((2, 4), 32)

    def weights(name, gates, seed):
        return {f"{name}/w": numbers((3, 4 * gates), seed), f"{name}/u": numbers((4, 4 * gates), seed + 1),
                f"{name}/b": numbers((4 * gates,), seed + 2)}

    case("rnn", "y, last = x |> rnn(4)", {"x": x, **weights("y/rnn", 1, 33)},
         lambda x, w, u, b: run(torch.nn.RNN, [0], x, w, u, b))
    case("rnn from a state", "y, last = rnn(x, 4, from: h)", {"x": x, "h": h, **weights("y/rnn", 1, 33)},
         lambda x, h, w, u, b: run(torch.nn.RNN, [0], x, w, u, b, start=h[None]))
    case("lstm", "y, last = x |> lstm(4)", {"x": x, **weights("y/lstm", 4, 36)},
         lambda x, w, u, b: run(torch.nn.LSTM, [0, 1, 2, 3], x, w, u, b))
    case("lstm from a state", "y, last = lstm(x, 4, from: (h, m))",
         {"x": x, "h": h, "m": c, **weights("y/lstm", 4, 36)},
         lambda x, h, m, w, u, b: run(torch.nn.LSTM, [0, 1, 2, 3], x, w, u, b, start=(h[None], m[None])))
    case("gru", "y, last = x |> gru(4)",
         {"x": x, **weights("y/gru", 3, 39), "y/gru/c": numbers((4,), 42)},
         lambda x, w, u, b, c: run(torch.nn.GRU, [0, 1, 2], x, w, u, b, c))
    both = {"x": x, **weights("y/bidirectional/forward/lstm", 4, 43),
            **weights("y/bidirectional/backward/lstm", 4, 46)}
    case("bidirectional", "y, last = x |> bidirectional(lstm(4))", both,
         lambda x, w, u, b, p, q, r: torch.cat([
             run(torch.nn.LSTM, [0, 1, 2, 3], x, w, u, b),
             run(torch.nn.LSTM, [0, 1, 2, 3], x, p, q, r, reverse=True)], -1))


def dense_weights(name, seed, into=4, units=4):
    return {f"{name}/w": numbers((into, units), seed), f"{name}/b": numbers((units,), seed + 1)}


def attend(x, memory, weights, heads, causal):
    """Attention by PyTorch's multi_head_attention_forward."""
    qw, qb, kw, kb, vw, vb, ow, ob = weights
    units = qw.shape[1]
    mask = torch.ones(x.shape[1], memory.shape[1]).triu(1).bool() if causal else None
    turned = [t.movedim(1, 0) for t in (x, memory, memory)]
    y, _ = F.multi_head_attention_forward(
        *turned, units, heads, None, torch.cat([qb, kb, vb]), None, None, False, 0.0, ow.T, ob, need_weights=False,
        attn_mask=mask, use_separate_proj_weight=True, q_proj_weight=qw.T, k_proj_weight=kw.T, v_proj_weight=vw.T)
    return y.movedim(0, 1)


def attention():
    x, memory = numbers((2, 5, 4), 50), numbers((2, 3, 4), 51)
    table, places = numbers((6, 3), 52), torch.tensor([[5, 0, 2], [2, 2, 1]])
    case("embedding", "y = embedding(places, 6, 3)", {"places": places, "y/embedding/w": table},
         lambda places, w: F.embedding(places, w))
    q, k, v = numbers((2, 5, 4), 53), numbers((2, 3, 4), 54), numbers((2, 3, 2), 55)
    case("dot_attention", "y = dot_attention(q, k, v)", {"q": q, "k": k, "v": v}, F.scaled_dot_product_attention)
    case("dot_attention, causal", "y = dot_attention(q, q, v, causal: true)", {"q": q, "v": numbers((2, 5, 2), 56)},
         lambda q, v: F.scaled_dot_product_attention(q, q, v, is_causal=True))

    def parts(prefix, seed):
        names = ["query", "key", "value", "output"]
        found = [dense_weights(f"{prefix}{name}", seed + 2 * i) for i, name in enumerate(names)]
        return {name: value for part in found for name, value in part.items()}

    for heads, causal in ((1, False), (2, False), (2, True)):
        more = ", causal: true" if causal else ""
        case(f"attention of {heads} heads{more}", f"y = x |> attention(4, heads: {heads}{more})",
             {"x": x, **parts("y/attention/", 57)},
             lambda x, *weights: attend(x, x, weights, heads, causal))
    case("attention to something else", "y = attention(x, 4, memory: memory, heads: 2)",
         {"x": x, "memory": memory, **parts("y/attention/", 57)},
         lambda x, memory, *weights: attend(x, memory, weights, 2, False))

    def scores(x, memory, w, u, v):
        return torch.tanh((x @ w)[:, :, None] + (memory @ u)[:, None]) @ v

    case("attend", "y = attend(x, memory, 3)",
         {"x": x, "memory": memory, "y/attend/w": numbers((4, 3), 65), "y/attend/u": numbers((4, 3), 66),
          "y/attend/v": numbers((3,), 67)}, scores)

    def additive(x, vw, vb, *rest):
        values, out = F.linear(x, vw.T, vb).chunk(2, -1), []
        hidden = torch.ones(5, 5).triu(1).bool()
        for head in range(2):
            raw = scores(x, x, *rest[3 * head:3 * head + 3]).masked_fill(hidden, -torch.inf)
            out.append(F.softmax(raw, -1) @ values[head])
        return F.linear(torch.cat(out, -1), rest[6].T, rest[7])

    nets = {f"y/additive_attention/score[{i}]/{name}": numbers(shape, 70 + 3 * i + at)
            for i in range(2) for at, (name, shape) in enumerate([("w", (4, 3)), ("u", (4, 3)), ("v", (3,))])}
    case("additive_attention", "y = x |> additive_attention(4, heads: 2, inner: 3, causal: true)",
         {"x": x, **dense_weights("y/additive_attention/value", 68), **nets,
          **dense_weights("y/additive_attention/output", 76)}, additive)

    block = "y/transformer_block/"
    norms = [{f"{block}{name}/layer_norm/scale": numbers((4,), seed) + 1.5,
              f"{block}{name}/layer_norm/shift": numbers((4,), seed + 1)} for name, seed in (("seen", 78), ("inner", 80))]

    def transformer(x, s1, b1, *rest):
        """PyTorch's encoder layer, normalised first."""
        (qw, qb, kw, kb, vw, vb, ow, ob), (s2, b2, w1, c1, w2, c2) = rest[:8], rest[8:]
        net = torch.nn.TransformerEncoderLayer(4, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True)
        names = {"self_attn.in_proj_weight": torch.cat([qw, kw, vw], 1).T, "self_attn.in_proj_bias": torch.cat([qb, kb, vb]),
                 "self_attn.out_proj.weight": ow.T, "self_attn.out_proj.bias": ob, "norm1.weight": s1, "norm1.bias": b1,
                 "norm2.weight": s2, "norm2.bias": b2, "linear1.weight": w1.T, "linear1.bias": c1, "linear2.weight": w2.T,
                 "linear2.bias": c2}
        mask = torch.ones(5, 5).triu(1).bool()
        return torch.func.functional_call(net, names, (x, mask))

    case("transformer_block", "y = x |> transformer_block(heads: 2, widen: 3, causal: true)",
         {"x": x, **norms[0], **parts(f"{block}seen/attention/", 82), **norms[1],
          **dense_weights(f"{block}inner/dense", 90, 4, 12), **dense_weights(f"{block}inner/dense2", 92, 12, 4)}, transformer)


def sequence_losses():
    logits = numbers((3, 6, 4), 100) * 2
    label = torch.tensor([[1, 2, 2], [3, 1, 3], [2, 2, 2]])

    def ctc(logits, label, blank=0):
        lengths = [torch.full((3,), n) for n in (6, 3)]
        return F.ctc_loss(F.log_softmax(logits, -1).movedim(1, 0), label, *lengths, blank=blank, reduction="sum") / 3

    case("ctc", "y = ctc(x, label)", {"x": logits, "label": label}, ctc)
    case("ctc with another blank", "y = ctc(x, label, blank: 3)", {"x": logits, "label": label % 3},
         lambda x, label: ctc(x, label, 3))

    def drawn_loss(x, label, w, b, drawn):
        """Jean et al. 2015 as TensorFlow does it: scores less the logarithm of how often their class is drawn."""
        def rate(k):
            k = k.double()
            return 4 * torch.log((k + 2) / (k + 1)) / torch.log(torch.tensor(8.0))
        own = (x * w[label]).sum(-1) + b[label] - torch.log(rate(label))
        others = x @ w[drawn].T + b[drawn] - torch.log(rate(drawn))
        others = torch.where(drawn == label[:, None], -1e30, others)
        return F.cross_entropy(torch.cat([own[:, None], others], 1), torch.zeros(3, dtype=torch.long))

    case("drawn_cross_entropy", "y = mean(drawn_cross_entropy(x, label, w, b, drawn, zipf(n: 7)))",
         {"x": ROWS, "label": torch.tensor([5, 0, 2]), "w": numbers((7, 4), 101), "b": numbers((7,), 102),
          "drawn": torch.tensor([0, 3, 0, 6])}, drawn_loss)
    case("sampled_softmax, not training", "y = mean(sampled_softmax(x, label, 7))",
         {"x": ROWS, "label": torch.tensor([5, 0, 2]), "y/sampled_softmax/w": numbers((7, 4), 101),
          "y/sampled_softmax/b": numbers((7,), 102)},
         lambda x, label, w, b: F.cross_entropy(F.linear(x, w, b), label))


def plain(name):
    """The name of the second of two layers that are called alike, without what tells it from the first here."""
    return name.replace("/w2", "/w").replace("dense2/", "dense[1]/")


def main():
    activations()
    losses()
    norms()
    convolutions()
    recurrent()
    attention()
    sequence_losses()
    for found in CASES:
        found["variables"] = {plain(key): value for key, value in found["variables"].items()}
        found["gradients"] = {plain(key): value for key, value in found["gradients"].items()}
    lines = ",\n".join("  " + json.dumps(found) for found in CASES)
    print(f'{{"torch": "{torch.__version__.split("+")[0]}", "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
