# SPDX-License-Identifier: BSD-2-Clause
# A network in PyTorch, run when told.
# In: NETWORK MODEL SIZE THREADS float32|bfloat16, MODEL as tests/bench/network
# opens it; lines as tests/bench/network.c reads them.  Or onnx NETWORK MODEL
# SIZE FILE.  Out: as there; or FILE, for ONNX Runtime.
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CHUNKS = 100


def split(x, heads):
    return x.view(x.shape[0], heads, -1).transpose(0, 1)


def attend(q, k, v, heads):
    q, k, v = (split(x, heads) for x in (q, k, v))
    p = torch.softmax(q @ k.transpose(1, 2) * q.shape[-1] ** -0.5, -1)
    return (p @ v).transpose(0, 1).reshape(q.shape[1], -1)


def weight(w, at):
    """What weight norm makes of length and direction."""
    for g, v in (('weight_g', 'weight_v'),
                 ('parametrizations.weight.original0',
                  'parametrizations.weight.original1')):
        if at + g in w:
            v = w[at + v]
            return v * w[at + g] / v.flatten(1).norm(dim=1)[:, None, None]
    return w[at + 'weight']


class Linear(nn.Linear):
    def __init__(self, w, at):
        o, i = w[at + 'weight'].shape
        super().__init__(i, o, at + 'bias' in w)
        self.load_state_dict({k: w[at + k] for k in self.state_dict()})


class Norm(nn.LayerNorm):
    def __init__(self, w, at):
        super().__init__(w[at + 'weight'].shape[0])
        self.load_state_dict({k: w[at + k] for k in self.state_dict()})


class Conv(nn.Module):
    def __init__(self, w, at, up=False, **how):
        super().__init__()
        self.w = nn.Parameter(weight(w, at + '.'))
        b = w.get(at + '.bias')
        self.b = None if b is None else nn.Parameter(b)
        self.up, self.how = up, how

    def forward(self, x):
        f = F.conv_transpose1d if self.up else F.conv1d
        return f(x, self.w, self.b, **self.how)


# Whisper's encoder


class WhisperBlock(nn.Module):
    def __init__(self, w, at):
        super().__init__()
        self.n1, self.n2 = (Norm(w, at + n) for n in ('attn_ln.', 'mlp_ln.'))
        self.q, self.k, self.v, self.o = (
            Linear(w, at + 'attn.%s.' % n)
            for n in ('query', 'key', 'value', 'out'))
        self.up, self.down = (Linear(w, at + 'mlp.%d.' % i) for i in (0, 2))

    def forward(self, x):
        h = self.n1(x)
        x = x + self.o(attend(self.q(h), self.k(h), self.v(h),
                              x.shape[1] // 64))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class Whisper(nn.Module):
    def __init__(self, path, frames):
        super().__init__()
        w = torch.load(path)['model_state_dict']
        w = {k[8:]: v.float() for k, v in w.items() if k[:8] == 'encoder.'}
        self.conv1 = Conv(w, 'conv1', padding=1)
        self.conv2 = Conv(w, 'conv2', padding=1, stride=2)
        self.place = nn.Parameter(w['positional_embedding'][:frames // 2])
        n = len([k for k in w if k.endswith('.mlp.0.weight')])
        self.blocks = nn.Sequential(
            *(WhisperBlock(w, 'blocks.%d.' % i) for i in range(n)))
        self.norm = Norm(w, 'ln_post.')
        self.shape, self.turned = (1, w['conv1.weight'].shape[1], frames), True

    def forward(self, x):
        x = F.gelu(self.conv2(F.gelu(self.conv1(x))))[0].t() + self.place
        return self.norm(self.blocks(x))


# CLIP's image tower, all positions projected


class ClipBlock(nn.Module):
    def __init__(self, w, at):
        super().__init__()
        self.n1, self.n2 = (Norm(w, at + n) for n in ('ln_1.', 'ln_2.'))
        w['qkv.weight'] = w[at + 'attn.in_proj_weight']
        w['qkv.bias'] = w[at + 'attn.in_proj_bias']
        self.qkv, self.o = Linear(w, 'qkv.'), Linear(w, at + 'attn.out_proj.')
        self.up, self.down = (Linear(w, at + 'mlp.c_%s.' % n)
                              for n in ('fc', 'proj'))

    def forward(self, x):
        q, k, v = self.qkv(self.n1(x)).chunk(3, -1)
        x = x + self.o(attend(q, k, v, x.shape[1] // 64))
        h = self.up(self.n2(x))
        return x + self.down(h * torch.sigmoid(1.702 * h))


class Clip(nn.Module):
    shape, turned = (1, 3, 224, 224), False

    def __init__(self, path, size):
        super().__init__()
        w = {k[7:]: v.float() for k, v in torch.load(path).items()}
        self.patches = nn.Parameter(w['conv1.weight'])
        self.side = w['conv1.weight'].shape[-1]
        self.first = nn.Parameter(w['class_embedding'][None])
        self.place = nn.Parameter(w['positional_embedding'])
        self.proj = nn.Parameter(w['proj'])
        self.pre, self.post = Norm(w, 'ln_pre.'), Norm(w, 'ln_post.')
        self.blocks = nn.Sequential(
            *(ClipBlock(w, 'transformer.resblocks.%d.' % i)
              for i in range(12)))

    def forward(self, x):
        x = F.conv2d(x, self.patches, stride=self.side)
        x = torch.cat([self.first, x[0].flatten(1).t()]) + self.place
        return self.post(self.blocks(self.pre(x))) @ self.proj


# SNAC's decoder


class Snake(nn.Module):
    def __init__(self, w, at):
        super().__init__()
        self.a = nn.Parameter(w[at + '.alpha'])
        self.b = nn.Parameter(1 / (w[at + '.alpha'] + 1e-9))

    def forward(self, x):
        return x + self.b * torch.sin(self.a * x) ** 2


class SnacUnit(nn.Module):
    def __init__(self, w, at, d, dilation):
        super().__init__()
        self.net = nn.Sequential(
            Snake(w, at + '.block.0'),
            Conv(w, at + '.block.1', padding=3 * dilation, dilation=dilation,
                 groups=d),
            Snake(w, at + '.block.2'), Conv(w, at + '.block.3'))

    def forward(self, x):
        return x + self.net(x)


class Noise(nn.Module):
    def __init__(self, w, at, rows):
        super().__init__()
        self.mix = Conv(w, at)
        self.noise = nn.Parameter(values((1, 1, rows), False))

    def forward(self, x):
        return x + self.noise * self.mix(x)


class Snac(nn.Module):
    def __init__(self, path, frames):
        super().__init__()
        w = torch.load(path + '/pytorch_model.bin')
        rates = json.load(open(path + '/config.json'))['decoder_rates']
        d, at, rows = 1024, 'decoder.model.%d', 4 * frames
        net = [Conv(w, at % 0, padding=3, groups=768), Conv(w, at % 1)]
        for i, s in enumerate(rates, 2):
            block, d, rows = at % i + '.block.%d', d // 2, rows * s
            net += [Snake(w, block % 0),
                    Conv(w, block % 1, True, stride=s, padding=(s + 1) // 2,
                         output_padding=s % 2),
                    Noise(w, block % 2 + '.linear', rows)]
            net += [SnacUnit(w, block % (3 + j), d, 3 ** j) for j in range(3)]
        self.net = nn.Sequential(*net, Snake(w, at % 6),
                                 Conv(w, at % 7, padding=3), nn.Tanh())
        self.shape, self.turned = (1, 768, 4 * frames), True

    def forward(self, x):
        return self.net(x)[0, 0]


# EnCodec's decoder


class Causal(Conv):
    def forward(self, x):
        k = (self.w.shape[-1] - 1) * self.how.get('dilation', 1)
        return super().forward(F.pad(x, (k, 0), 'reflect') if k > 0 else x)


class Up(Conv):
    def forward(self, x):
        s = self.how['stride']
        return super().forward(x)[..., :x.shape[-1] * s]


class Seanet(nn.Module):
    def __init__(self, w, at):
        super().__init__()
        self.net = nn.Sequential(
            nn.ELU(), Causal(w, at + '.block.1.conv.conv'),
            nn.ELU(), Causal(w, at + '.block.3.conv.conv'))
        self.skip = Causal(w, at + '.shortcut.conv.conv')

    def forward(self, x):
        return self.skip(x) + self.net(x)


class Memory(nn.Module):
    def __init__(self, w, at):
        super().__init__()
        self.net = nn.LSTM(512, 512, 2)
        self.net.load_state_dict({k: w[at + k] for k in self.net.state_dict()})

    def forward(self, x):
        return x + self.net(x.permute(2, 0, 1))[0].permute(1, 2, 0)


class Encodec(nn.Module):
    def __init__(self, path, frames):
        super().__init__()
        w, at = torch.load(path + '/model.th'), 'decoder.model.%d'
        net = [Causal(w, at % 0 + '.conv.conv'), Memory(w, at % 1 + '.lstm.')]
        for i, s in enumerate((8, 5, 4, 2)):
            net += [nn.ELU(),
                    Up(w, at % (3 * i + 3) + '.convtr.convtr', True, stride=s),
                    Seanet(w, at % (3 * i + 4))]
        self.net = nn.Sequential(*net, nn.ELU(),
                                 Causal(w, at % 15 + '.conv.conv'))
        self.shape, self.turned = (1, 128, frames), True

    def forward(self, x):
        return self.net(x)[0, 0]


# HiFi-GAN's generator


class HifiganBlock(nn.Module):
    def __init__(self, w, at, k, dilations, pairs):
        super().__init__()
        convs = at + ('.convs1.%d' if pairs else '.convs.%d')
        self.net = nn.ModuleList()
        for j, d in enumerate(dilations):
            one = [nn.LeakyReLU(0.1),
                   Conv(w, convs % j, padding=(k - 1) * d // 2, dilation=d)]
            if pairs:
                one += [nn.LeakyReLU(0.1),
                        Conv(w, at + '.convs2.%d' % j, padding=(k - 1) // 2)]
            self.net.append(nn.Sequential(*one))

    def forward(self, x):
        for net in self.net:
            x = x + net(x)
        return x


class Hifigan(nn.Module):
    def __init__(self, path, frames):
        super().__init__()
        c = json.load(open(path + '/config.json'))
        w = torch.load(path + '/generator')['generator']
        kernels = list(zip(c['resblock_kernel_sizes'],
                           c['resblock_dilation_sizes']))
        self.pre = Conv(w, 'conv_pre', padding=3)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for i, s in enumerate(c['upsample_rates']):
            self.ups.append(Conv(w, 'ups.%d' % i, True, stride=s,
                                 padding=s // 2))
            self.blocks.append(nn.ModuleList(
                HifiganBlock(w, 'resblocks.%d' % (3 * i + j), *kernels[j],
                             c['resblock'] == '1') for j in range(3)))
        self.post = Conv(w, 'conv_post', padding=3)
        self.shape, self.turned = (1, 80, frames), True

    def forward(self, x):
        x = self.pre(x)
        for up, blocks in zip(self.ups, self.blocks):
            x = up(F.leaky_relu(x, 0.1))
            x = sum(block(x) for block in blocks) / 3
        return torch.tanh(self.post(F.leaky_relu(x, 0.01)))[0, 0]


# Silero VAD: 64 samples of context and 512, state h, c


class Silero(nn.Module):
    shape, turned = (1, 576), False

    def __init__(self, path, size):
        super().__init__()
        w = torch.load(path)
        self.stft = nn.Parameter(w['stft_conv.weight'])
        self.convs = nn.Sequential()
        for i in range(4):
            self.convs.append(Conv(w, 'conv%d' % (i + 1), padding=1,
                                   stride=2 if i in (1, 2) else 1))
            self.convs.append(nn.ReLU())
        self.lstm = nn.LSTM(128, 128)
        self.lstm.load_state_dict({k: w['lstm_cell.' + k[:-3]]
                                   for k in self.lstm.state_dict()})
        self.last = Conv(w, 'final_conv')

    def forward(self, x, h, c):
        x = F.conv1d(F.pad(x[:, None], (0, 64), 'reflect'), self.stft,
                     stride=128)
        x = torch.sqrt(x[:, :129] ** 2 + x[:, 129:] ** 2)
        x, (h, c) = self.lstm(self.convs(x).permute(2, 0, 1),
                              (h[None], c[None]))
        return (torch.sigmoid(self.last(F.relu(h).permute(1, 2, 0)))[0, 0],
                h[0], c[0])


def silero_chunks(net):
    h = c = torch.zeros(1, 128)
    x, chunk, out = torch.zeros(1, 576), values((512,), False), []
    for _ in range(CHUNKS):
        x[0, :64] = x[0, 512:].clone()
        x[0, 64:] = chunk
        y, h, c = net(x, h, c)
        out.append(y)
    return torch.cat(out)


class Nothing(nn.Module):
    """What a call costs."""
    shape, turned = (1,), False

    def __init__(self, path, size):
        super().__init__()

    def forward(self, x):
        return -x


def values(shape, turned):
    """Those of network.c; rows there are columns here."""
    n = torch.Size(shape).numel()
    x = (torch.arange(n) * 7 % 23) / 23 - 0.5
    if turned:
        return x.view(1, shape[2], shape[1]).transpose(1, 2).contiguous()
    return x.view(shape)


NETS = {'whisper': Whisper, 'clip': Clip, 'snac': Snac, 'encodec': Encodec,
        'hifigan': Hifigan, 'silero': Silero, 'nothing': Nothing}


def export(name, path, size, to):
    net = NETS[name](path, int(size)).eval()
    x, names = [values(net.shape, net.turned)], ['x']
    if name == 'silero':
        x, names = x + [torch.zeros(1, 128)] * 2, ['x', 'h', 'c']
    torch.onnx.export(net, tuple(x), to, opset_version=17, input_names=names,
                      output_names=['y', 'h1', 'c1'][:len(names)])


def main():
    name, path, size, threads, kind = sys.argv[1:]
    torch.set_num_threads(int(threads))
    net = NETS[name](path, int(size)).eval().to(getattr(torch, kind))
    x = values(net.shape, net.turned).to(getattr(torch, kind))
    run = (lambda: silero_chunks(net)) if name == 'silero' else lambda: net(x)
    out = run()
    print('ready', torch.__version__, flush=True)
    for line in sys.stdin:
        if line == 'run\n':
            begin = time.perf_counter()
            out = run()
            ms = 1e3 * (time.perf_counter() - begin)
            print('%.5f' % (ms / (CHUNKS if name == 'silero' else 1)),
                  flush=True)
        elif line.startswith('out '):
            out.float().contiguous().numpy().tofile(line[4:-1])
            print('written', flush=True)


with torch.inference_mode(sys.argv[1] != 'onnx'):
    if sys.argv[1] == 'onnx':
        export(*sys.argv[2:])
    else:
        main()
