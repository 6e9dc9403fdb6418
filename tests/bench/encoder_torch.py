# SPDX-License-Identifier: BSD-2-Clause
# Whisper's encoder in PyTorch, random weights.
# In: width, layers, bands, mel frames, threads, runs, "bfloat16" or nothing.
# Out: milliseconds of each run, a line.
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

width, layers, bands, frames, threads, runs = map(int, sys.argv[1:7])
torch.set_num_threads(threads)
torch.manual_seed(1)
kind = torch.bfloat16 if len(sys.argv) > 7 else torch.float32
heads = width // 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def split(self, x):
        return x.view(x.shape[0], heads, 64).transpose(0, 1)

    def forward(self, x):
        h = self.n1(x)
        q, k, v = (self.split(f(h)) for f in (self.q, self.k, self.v))
        p = torch.softmax(q @ k.transpose(1, 2) * 0.125, -1)
        x = x + self.o((p @ v).transpose(0, 1).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(bands, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.place = nn.Parameter(torch.randn(frames // 2, width))
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, mel):
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel))))[0].t() + self.place
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


with torch.inference_mode():
    net = Encoder().eval().to(kind)
    mel = torch.randn(1, bands, frames).to(kind)
    for i in range(runs + 1):
        begin = time.perf_counter()
        net(mel)
        if i > 0:
            print('%.2f' % (1e3 * (time.perf_counter() - begin)))
