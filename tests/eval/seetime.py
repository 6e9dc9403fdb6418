# SPDX-License-Identifier: BSD-2-Clause
# The default model's eyes, adapter and transformer in PyTorch, from what
# seetime dumped: are the logits the same, and how long does it take?
# in:  the dump
# out: "median=MS far=MOST": of 30 runs; the largest difference of a logit
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(2)
w = {}
with open(sys.argv[1], "rb") as f:
    while line := f.readline():
        name, rows, cols = line.split()
        n = int(rows) * int(cols)
        kind = torch.int32 if name in (b"sizes", b"prompt") else torch.float32
        w[name.decode()] = torch.frombuffer(
            bytearray(f.read(4 * n)), dtype=kind).reshape(int(rows), int(cols))
SIDE, PATCH, LAYERS, HEADS, LM_LAYERS, LM_HEADS, KV_HEADS, D = \
    w["sizes"][0].tolist()
GRID = SIDE // PATCH


def gelu(x):
    return x * torch.sigmoid(1.702 * x)


def norm(x, name):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"][0],
                        w[name + ".bias"][0], 1e-5)


def linear(x, name):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"][0])


def heads(x, n):
    return x.reshape(x.shape[0], n, -1).transpose(0, 1)


def attend(q, k, v, mask):
    s = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5 + mask
    return (s.softmax(-1) @ v).transpose(0, 1).reshape(q.shape[1], -1)


def around(x, name):
    """depthwise 3 x 3 of x [side, side, c]"""
    taps = w[name + ".weight"].T.reshape(-1, 1, 3, 3)
    return F.conv2d(x.permute(2, 0, 1)[None], taps, w[name + ".bias"][0],
                    padding=1, groups=len(taps))[0].permute(1, 2, 0)


def joined(x):
    """[grid, grid, c] -> [grid * grid, c], 2 x 2 patches in a row"""
    x = x.reshape(GRID // 2, 2, GRID // 2, 2, -1).transpose(1, 2)
    return x.reshape(GRID * GRID, -1)


def plane(x):
    x = x.reshape(GRID // 2, GRID // 2, 2, 2, -1).transpose(1, 2)
    return x.reshape(GRID, GRID, -1)


def eyes(pixels):
    """[3, side, side] -> [grid * grid, width], 2 x 2 patches in a row"""
    half = PATCH // 2
    x = F.unfold(pixels[None], PATCH, padding=half // 2, stride=half)[0].T
    x = gelu(linear(x, "vision.in"))
    i = 0
    while f"vision.cell.{i}.near.weight" in w:
        p = f"vision.cell.{i}."
        h = around(x.reshape(2 * GRID, 2 * GRID, -1), p + "near")
        h = norm(h.reshape(4 * GRID * GRID, -1), p + "norm")
        x = x + linear(gelu(linear(h, p + "up")), p + "down")
        i += 1
    x = F.unfold(x.T.reshape(1, -1, 2 * GRID, 2 * GRID), 4, padding=1,
                 stride=2)[0].T
    stem = x.shape[1] // 16
    x = x.reshape(-1, stem, 16).transpose(1, 2).reshape(-1, 16 * stem)
    x = joined(x.reshape(GRID, GRID, -1))
    x = linear(x, "vision.join") + w["vision.place"]
    for i in range(LAYERS):
        p = f"vision.{i}."
        h = norm(x, p + "attn.norm")
        q, k, v = (heads(F.linear(h, w[p + "attn." + c]), HEADS)
                   for c in "qkv")
        x = x + F.linear(attend(q, k, v, 0), w[p + "attn.o"])
        h = norm(x, p + "ff.norm")
        h = linear(h, p + "ff.up")
        h = h + joined(around(plane(h), p + "ff.near"))
        x = x + linear(gelu(h), p + "ff.down")
    return norm(x, "vision.norm")


def rms(x, name):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * w[name]


def rope(x):
    half = x.shape[-1] // 2
    t = torch.arange(x.shape[1])[:, None] * \
        10000.0 ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * t.cos() - b * t.sin(), b * t.cos() + a * t.sin()],
                     -1)


def feed_forward(x, p):
    if p + "router" not in w:
        a, b = F.linear(x, w[p + "up"]).chunk(2, -1)
        return F.linear(F.silu(a) * b, w[p + "down"])
    raise SystemExit("seetime.py: no mixture of experts here")


def transformer(x):
    n = x.shape[0]
    mask = torch.full((n, n), float("-inf")).triu(1)
    for i in range(LM_LAYERS):
        p = f"lm.{i}."
        h = rms(x, p + "attn.norm")
        q = rope(heads(F.linear(h, w[p + "attn.q"]), LM_HEADS))
        k = rope(heads(F.linear(h, w[p + "attn.k"]), KV_HEADS))
        v = heads(F.linear(h, w[p + "attn.v"]), KV_HEADS)
        k, v = (y.repeat_interleave(LM_HEADS // KV_HEADS, 0) for y in (k, v))
        x = x + F.linear(attend(q, k, v, mask), w[p + "attn.o"])
        x = x + feed_forward(rms(x, p + "ff.norm"), p + "ff.")
    return rms(x, "lm.norm")


def run():
    x = eyes(w["pixels"].reshape(3, SIDE, SIDE))
    mean = x.mean(0, keepdim=True)
    x = x.reshape(x.shape[0] // 4, -1)
    x = linear(gelu(linear(x, "adapter.image.up")), "adapter.image.down")
    whole = linear(gelu(linear(mean, "adapter.image.all.up")),
                   "adapter.image.all.down")
    if "adapter.image.name.weight" in w:
        p = (4 * linear(mean, "adapter.image.name")).softmax(-1)
        whole = whole * p[0, -1] + F.linear(p, w["adapter.image.name.say"])
        x = x * p[0, -1]
    x = torch.cat([x, whole])
    t = w["lm.text.embed"][w["prompt"][0].long()]
    x = transformer(torch.cat([t[:1], x, t[1:]]))
    return F.linear(x[-1], w["lm.text.head"])


with torch.no_grad():
    took = []
    for i in range(-2, 30):
        begun = time.perf_counter()
        logits = run()
        if i >= 0:
            took.append(1000 * (time.perf_counter() - begun))
far = (logits - w["logits"][0]).abs().max().item()
print(f"median={sorted(took)[15]:.2f} far={far:.1e}")
