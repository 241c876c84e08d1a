#!/usr/bin/env python3
"""Writes op_values.txt beside this file: what PyTorch and diffusers compute for the ops of core/ops.

Inputs need no file: element k of operand i is ((7919 k + 104729 i + 13) mod 1009) / 504.5 - 1, exact in double (halved
and moved to [0.5, 1.5) for operands marked `positive`); operands marked `bytes` hold the same integer mod 256. All is computed in f64, except the timestep embedding, whose
f32 rounding is part of its meaning. Each case keeps at most 16 elements, evenly spread, and the sum of all.
"""

import pathlib

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU
from diffusers.models.embeddings import get_timestep_embedding

LINES = []


def operand(i, shape, positive=False, byte=False):
    count = 1
    for extent in shape:
        count *= extent
    k = torch.arange(count, dtype=torch.int64)
    integer = 7919 * k + 104729 * i + 13
    if byte:
        return (integer % 256).reshape(shape)
    value = (integer % 1009).double() / 504.5 - 1
    return (value / 2 + 1 if positive else value).reshape(shape)


def attr_line(name, value):
    if isinstance(value, bool):
        return f"attr {name} bool {int(value)}"
    if isinstance(value, int):
        return f"attr {name} int {value}"
    if isinstance(value, float):
        return f"attr {name} float {value!r}"
    if isinstance(value, str):
        return f"attr {name} string {value}"  # '|' for the end of a line
    return f"attr {name} ints " + ",".join(map(str, value))


def dims(shape):
    return ",".join(map(str, shape)) if len(shape) else "-"


def case(op, shapes, attrs, compute, positive=(), data=None, tolerance=1e-12, data_of=None, codes=()):
    """`shapes[i]` None: absent operand. `compute` gets one tensor (or None) for each operand. `data_of`: {operand: values}."""
    tensors = [None if s is None else operand(i, s, i in positive, i in codes) for i, s in enumerate(shapes)]
    LINES.append(f"op {op}")
    for i, shape in enumerate(shapes):
        LINES.append("absent" if shape is None else f"{'positive' if i in positive else 'bytes' if i in codes else 'in'} {dims(shape)}")
    if data is not None:
        tensors[0] = torch.tensor(data)
        LINES.append("data " + ",".join(map(repr, data)))
    for i, values in (data_of or {}).items():
        tensors[i] = torch.tensor(values, dtype=torch.float64)
        LINES.append(f"data_of {i} " + ",".join(map(repr, values)))
    LINES.extend(attr_line(name, value) for name, value in attrs.items())
    result = compute(*tensors).contiguous()
    flat = result.reshape(-1).tolist()
    LINES.append(f"out {dims(result.shape)} sum {sum(flat)!r} tolerance {tolerance!r}")
    step = max(1, len(flat) // 15)
    LINES.extend(f"at {i} {flat[i]!r}" for i in sorted({*range(0, len(flat), step), len(flat) - 1})[:16])
    LINES.append("")


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv(shape, weight, bias, stride, padding):
    top, left, bottom, right = padding
    case("conv2d", [shape, weight, [weight[0]] if bias else None], {"stride": stride, "padding": padding},
         lambda x, w, b: nhwc(F.conv2d(F.pad(nchw(x), (left, right, top, bottom)), w, b, stride=stride)))


def conv_grads(shape, weight, stride, padding):
    """Both gradients of a convolution, by PyTorch's own autograd."""
    top, left, bottom, right = padding

    def result(x, w):
        return F.conv2d(F.pad(nchw(x), (left, right, top, bottom)), w, stride=stride)

    d = list(nhwc(result(torch.zeros(shape), torch.zeros(weight))).shape)
    window = {"stride": stride, "padding": padding}

    def of(which, d_out, x, w):
        x.requires_grad_(), w.requires_grad_()
        return torch.autograd.grad(result(x, w), (x, w), nchw(d_out))[which]

    case("conv2d_grad_input", [d, weight], {**window, "height": shape[1], "width": shape[2]},
         lambda d_out, w: of(0, d_out, torch.zeros(shape, dtype=torch.float64), w))
    case("conv2d_grad_weight", [shape, d], {**window, "kernel_h": weight[2], "kernel_w": weight[3]},
         lambda x, d_out: of(1, d_out, x, torch.zeros(weight, dtype=torch.float64)))


def upsample_grad(d, height, width):
    def compute(d_out):
        x = torch.zeros(d[0], d[3], height, width, dtype=torch.float64, requires_grad=True)
        return nhwc(torch.autograd.grad(F.interpolate(x, size=d[1:3], mode="nearest"), x, nchw(d_out))[0])
    case("upsample_nearest_grad", [d], {"height": height, "width": width}, compute)


def heads_of(x, heads):
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attention(n, queries, keys, heads, d):
    case("attention", [[n, queries, heads * d], [n, keys, heads * d], [n, keys, heads * d]], {"heads": heads},
         lambda q, k, v: F.scaled_dot_product_attention(*(heads_of(t, heads) for t in (q, k, v))).transpose(1, 2).flatten(2))


def group_norm(op, shape, groups, eps, after):
    channels = shape[-1]
    case(op, [shape, [channels], [channels]], {"groups": groups, "eps": eps},
         lambda x, w, b: after(F.group_norm(x.movedim(-1, 1), groups, w, b, eps)).movedim(1, -1))


def geglu(x):
    module = GEGLU(1, 1)
    module.proj = torch.nn.Identity()
    return module(x)


def embedding(t, dim, flip, shift, max_period):
    attrs = {"dim": dim, "flip_sin_to_cos": flip, "freq_shift": float(shift), "max_period": float(max_period)}
    # PyTorch's f32 exp may be one unit off the nearest, which an angle of 1024 multiplies to 6e-5.
    case("timestep_embedding", [[len(t)]], attrs,
         lambda x: get_timestep_embedding(x.float(), dim, flip, shift, 1, max_period).double(), data=t, tolerance=1e-4)


def grads():
    """Cotangents by PyTorch's own autograd; operand d is the cotangent of the result."""
    def of(function, *x, d):
        x = [t.clone().requires_grad_() for t in x]
        return torch.autograd.grad(function(*x), x, d)

    case("silu_grad", [[3, 7], [3, 7]], {}, lambda x, d: of(F.silu, x, d=d)[0])
    case("geglu_grad", [[3, 8], [3, 4]], {}, lambda x, d: of(geglu, x, d=d)[0])
    for op, shape, attrs in (("group_norm", [2, 5, 3, 12], {"groups": 4, "eps": 1e-5}), ("layer_norm", [2, 3, 10], {"eps": 1e-3})):
        def norm(x, w, b, op=op, attrs=attrs):
            if op == "layer_norm":
                return F.layer_norm(x, x.shape[-1:], w, b, attrs["eps"])
            return F.group_norm(x.movedim(-1, 1), attrs["groups"], w, b, attrs["eps"]).movedim(1, -1)
        zeros = torch.zeros(shape[-1], dtype=torch.float64)
        case(op + "_grad_affine", [shape, shape], attrs, lambda d, x: torch.stack(of(lambda w, b: norm(x, w, b), zeros, zeros, d=d)))
        case(op + "_grad_input", [shape, shape, shape[-1:]], attrs, lambda d, x, w: of(lambda x: norm(x, w, zeros), x, d=d)[0])
    for n, queries, keys, heads, d in ((2, 5, 77, 3, 8), (1, 6, 6, 1, 5)):
        q, k = [n, queries, heads * d], [n, keys, heads * d]
        case("attention_grad", [q, k, k, q], {"heads": heads}, lambda q, k, v, d: torch.cat(of(
            lambda *x: F.scaled_dot_product_attention(*(heads_of(t, heads) for t in x)).transpose(1, 2).flatten(2), q, k, v, d=d), 1))


def adamw(p, g, m, v, hyper, t, **options):
    """Step t of torch.optim.AdamW; `hyper` carries lr, the gradients' scale and the corrections of step t."""
    p = torch.nn.Parameter(p.clone())
    optimizer = torch.optim.AdamW([p], lr=hyper[0].item(), **options)
    optimizer.state[p] = {"step": torch.tensor(float(t - 1)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    p.grad = g * hyper[1]
    optimizer.step()
    return p.detach()


def dynamic_map(signed):
    """The values of the codes of arXiv 2110.02861's dynamic quantisation: seven decades, each with twice the values of the last."""
    values = [0.0, 1.0]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, (1 if signed else 2) * 2**decade + 1, dtype=torch.float64) * 10.0 ** (decade - 6)
        middles = ((edges[1:] + edges[:-1]) / 2).tolist()
        values += middles + ([-m for m in middles] if signed else [])
    return torch.tensor(sorted(values), dtype=torch.float64)


def adamw8bit(p, g, m, v, m_scale, v_scale, hyper, t, **options):
    def decoded(codes, scale, signed):
        blocks = torch.arange(codes.numel()) // 256
        return (dynamic_map(signed)[codes.reshape(-1)] * scale[blocks]).reshape(codes.shape)
    return adamw(p, g, decoded(m, m_scale, True), decoded(v, v_scale, False), hyper, t, **options)


def adafactor(p, g, state, hyper, t, eps, min_rms, clip_rms, decay):
    """Step t of torch.optim.Adafactor; `hyper` carries lr and the gradients' scale, and what torch derives from t."""
    p = torch.nn.Parameter(p.clone())
    optimizer = torch.optim.Adafactor([p], lr=hyper[0].item(), eps=(eps, min_rms), d=clip_rms, weight_decay=decay)
    optimizer.state[p] = {"step": torch.tensor(float(t - 1)), **{k: x.clone() for k, x in state.items()}}
    p.grad = g * hyper[1]
    optimizer.step()
    return p.detach()


def small_optimizers():
    """Steps whose state is smaller than AdamW's."""
    for t, count, decay in ((1, [3, 7], 1e-2), (7, [40, 9], 0.0)):
        blocks = -(-count[0] * count[1] // 256)
        attrs = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": decay}
        case("adamw8bit", [count] * 4 + [[blocks]] * 2 + [[4]], attrs,
             lambda *x: adamw8bit(*x, t, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay), positive=(4, 5), codes=(2, 3),
             data_of={6: [0.01, 0.5, 1 - 0.9**t, 1 - 0.999**t]}, tolerance=1e-6)
    for t, lr, eps, decay, clip in ((1, 0.01, 1e-7, 0.0, 1.0), (9, 0.5, 1e-3, 1e-2, 1.5)):
        attrs = {"eps": eps, "min_rms": 1e-3, "clip_rms": clip, "weight_decay": decay}
        hyper = [lr, 0.5, t**-0.8, min(lr, t**-0.5)]
        case("adafactor", [[5, 7], [5, 7], [5], [7], [4]], attrs,
             lambda p, g, row, column, hyper: adafactor(p, g, {"row_var": row[:, None], "col_var": column[None, :]}, hyper, t, eps,
                                                        1e-3, clip, decay), positive=(2, 3), data_of={4: hyper})
        case("adafactor_vector", [[9], [9], [9], [4]], attrs,
             lambda p, g, v, hyper: adafactor(p, g, {"variance": v}, hyper, t, eps, 1e-3, clip, decay), positive=(2,),
             data_of={3: hyper})


def optimizers():
    for t, beta1, beta2, eps, decay in ((1, 0.9, 0.999, 1e-8, 1e-2), (7, 0.8, 0.95, 1e-3, 0.0)):
        attrs = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": decay}
        case("adamw", [[3, 7]] * 4 + [[4]], attrs,
             lambda *x: adamw(*x, t, betas=(beta1, beta2), eps=eps, weight_decay=decay), positive=(3,),
             data_of={4: [0.01, 0.5, 1 - beta1**t, 1 - beta2**t]})
    case("accumulate", [[3, 7], [3, 7]], {}, lambda a, b: a.clone().add_(b))
    case("ema", [[3, 7], [3, 7], [1]], {}, lambda a, x, decay: torch.lerp(x, a, decay), data_of={2: [0.9]})
    case("squared_norm", [[3, 7]], {}, lambda x: torch.linalg.vector_norm(x) ** 2)


def main():
    grads()
    for op, function in {"gelu": F.gelu, "sigmoid": torch.sigmoid, "silu": F.silu, "tanh": torch.tanh, "abs": torch.abs,
                         "cos": torch.cos, "erf": torch.erf, "exp": torch.exp, "neg": torch.neg, "sign": torch.sign, "sin": torch.sin,
                         "square": torch.square, "stop_gradient": torch.detach}.items():
        case(op, [[3, 7]], {}, function)
    for op in ("log", "rsqrt", "sqrt"):
        case(op, [[3, 7]], {}, getattr(torch, op), positive=(0,))
    for op in ("add", "sub", "mul", "div", "maximum"):
        for a, c in (([2, 3, 4], [3, 1]), ([4], [2, 1, 4]), ([2, 3], [])):
            case(op, [a, c], {}, getattr(torch, op), positive=(1,) if op == "div" else ())
    conv([2, 5, 7, 3], [4, 3, 3, 3], True, 1, [1, 1, 1, 1])
    conv([1, 8, 7, 4], [6, 4, 3, 3], True, 2, [0, 0, 1, 1])
    conv([1, 9, 6, 3], [4, 3, 5, 2], False, 3, [2, 0, 1, 1])
    conv([2, 4, 4, 6], [5, 6, 1, 1], True, 1, [0, 0, 0, 0])
    conv_grads([2, 5, 7, 3], [4, 3, 3, 3], 1, [1, 1, 1, 1])
    conv_grads([1, 8, 7, 4], [6, 4, 3, 3], 2, [0, 0, 1, 1])
    conv_grads([1, 9, 6, 3], [4, 3, 5, 2], 3, [2, 0, 1, 1])
    attention(2, 5, 77, 3, 8)
    attention(1, 6, 6, 1, 5)
    for eps in (1e-5, 1e-3):
        group_norm("group_norm", [2, 5, 3, 12], 4, eps, lambda y: y)
        group_norm("group_norm_silu", [2, 5, 3, 12], 3, eps, F.silu)
    case("layer_norm", [[2, 3, 10], [10], [10]], {"eps": 1e-5}, lambda x, w, b: F.layer_norm(x, (10,), w, b, 1e-5))
    case("softmax", [[3, 11]], {}, lambda x: F.softmax(x, -1))
    case("geglu", [[3, 8]], {}, geglu)
    case("linear", [[2, 3, 5], [4, 5], [4]], {}, F.linear)
    case("linear", [[3, 5], [4, 5], None], {}, F.linear)
    case("linear", [[2, 3, 4, 5], [6, 5, 1, 1], [6]], {}, lambda x, w, b: nhwc(F.conv2d(nchw(x), w, b)))
    case("linear_add", [[2, 3, 5], [4, 5], None, [2, 3, 4]], {}, lambda x, w, b, r: F.linear(x, w) + r)
    case("linear_geglu", [[2, 3, 5], [8, 5], [8]], {}, lambda x, w, b: geglu(F.linear(x, w, b)))
    case("matmul", [[2, 5, 3], [2, 7, 5]], {"transpose_a": True, "transpose_b": True}, lambda a, b: a.mT @ b.mT)
    case("matmul", [[2, 2, 3, 5], [2, 2, 5, 4]], {}, torch.matmul)
    case("broadcast", [[3, 1]], {"shape": [2, 3, 4]}, lambda x: x.broadcast_to(2, 3, 4))
    case("concat", [[2, 3, 2], [2, 1, 2], [2, 2, 2]], {"axis": 1}, lambda *parts: torch.cat(parts, 1))
    case("permute", [[2, 3, 4, 5]], {"order": [0, 3, 1, 2]}, lambda x: x.permute(0, 3, 1, 2))
    case("reshape", [[2, 6]], {"shape": [3, 4]}, lambda x: x.reshape(3, 4))
    case("slice", [[2, 6, 3]], {"axis": 1, "begin": 2, "end": 5}, lambda x: x[:, 2:5])
    for axes, keep in (([1], False), ([0, 2], True), ([0, 1, 2], False)):
        attrs = {"axes": axes, "keep_dims": keep}
        case("reduce_max", [[3, 4, 5]], attrs, lambda x: x.amax(axes, keep))
        case("reduce_mean", [[3, 4, 5]], attrs, lambda x: x.mean(axes, keep))
        case("reduce_sum", [[3, 4, 5]], attrs, lambda x: x.sum(axes, keep))
    for t, dim, flip, shift, period in (([999.0, 1.0, 0.0, 20.5], 320, True, 0, 10000), ([999.0, 501.0], 32, False, 1, 10000),
                                        ([1024.0, 7.0], 7, True, 0, 10000), ([981.0], 256, True, 0, 500)):
        embedding(t, dim, flip, shift, period)
    for shape, size in (([1, 4, 5, 2], (8, 10)), ([2, 4, 5, 2], (7, 9)), ([1, 7, 6, 1], (3, 11))):
        upsample_grad([shape[0], *size, shape[3]], shape[1], shape[2])
        case("upsample_nearest", [shape], {"height": size[0], "width": size[1]},
             lambda x: nhwc(F.interpolate(nchw(x), size=size, mode="nearest")))
    optimizers()
    small_optimizers()
    case("composite", [[3, 7], [3, 7]],
         {"name": "espalier.test.squares",
          "body": "graph @body(%x: f32[3,7], %y: f32[3,7]) -> f32[3,7] {|%d = sub %x, %y : f32[3,7]|%s = square %d : f32[3,7]|"
                  "%r = mul %s, %x : f32[3,7]|return %r|}"}, lambda x, y: (x - y) ** 2 * x)
    pathlib.Path(__file__).with_name("op_values.txt").write_text("\n".join(LINES))


if __name__ == "__main__":
    main()
