# SPDX-License-Identifier: BSD-2-Clause
# The same transformer as trainbench in PyTorch: RMS norm, rotary positions,
# grouped queries, SwiGLU, AdamW.
# In: the same sizes, the number of threads, "mixed" for bfloat16 autocast.
# Out: positions a second.
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

(width, layers, heads, kv_heads, hidden, vocabulary, batch, length,
 steps, threads) = map(int, sys.argv[1:11])
torch.set_num_threads(threads)
torch.manual_seed(1)
mixed = len(sys.argv) > 11
size = width // heads


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * self.w


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = Norm(), Norm()
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, size * kv_heads, bias=False)
        self.v = nn.Linear(width, size * kv_heads, bias=False)
        self.o = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        h = self.n1(x)
        q = self.q(h).view(b, t, heads, size).transpose(1, 2)
        k = self.k(h).view(b, t, kv_heads, size).transpose(1, 2)
        v = self.v(h).view(b, t, kv_heads, size).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(heads // kv_heads, 1)
        v = v.repeat_interleave(heads // kv_heads, 1)
        p = torch.softmax(q @ k.transpose(2, 3) * size ** -0.5 + mask, -1)
        x = x + self.o((p @ v).transpose(1, 2).reshape(b, t, width))
        a, c = self.up(self.n2(x)).chunk(2, -1)
        return x + self.down(F.silu(a) * c)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(vocabulary, width)
        self.l = nn.ModuleList(Layer() for _ in range(layers))
        self.n = Norm()
        self.h = nn.Linear(width, vocabulary, bias=False)
        f = 10000 ** (-torch.arange(0, size, 2) / size)
        a = torch.arange(length)[:, None] * f
        self.cos, self.sin = a.cos(), a.sin()
        self.mask = torch.full((length, length), float("-inf")).triu(1)

    def forward(self, ids):
        x = self.e(ids)
        for layer in self.l:
            x = layer(x, self.cos, self.sin, self.mask)
        return self.h(self.n(x))


model = Model()
best = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.99))
for step in range(steps + 3):
    if step == 3:
        begun = time.monotonic()
    ids = torch.randint(vocabulary, (batch, length + 1))
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        logits = model(ids[:, :-1])
    loss = F.cross_entropy(logits.float().reshape(-1, vocabulary),
                           ids[:, 1:].reshape(-1))
    best.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    best.step()
print(round(batch * length * steps / (time.monotonic() - begun)))
