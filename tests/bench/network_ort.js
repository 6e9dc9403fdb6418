// SPDX-License-Identifier: BSD-2-Clause
// A network in ONNX Runtime, run when told.
// In: NETWORK ONNX-FILE SIZE THREADS, the folder of its package in
// $OV_ORT; lines as tests/bench/network.c reads them.  Out: as there.
'use strict';
const fs = require('fs');
const readline = require('readline');
const ort = require(process.env.OV_ORT + '/node_modules/onnxruntime-node');

const [name, path, size, threads] = process.argv.slice(2);
const CHUNKS = 100;
const shapes = {
    whisper: [1, 80, +size],
    clip: [1, 3, 224, 224],
    snac: [1, 768, 4 * size],
    encodec: [1, 128, +size],
    hifigan: [1, 80, +size],
    silero: [1, 576],
    nothing: [1],
};

// The values of network.c; rows there are columns of convolutions here.
function values(shape, turned) {
    const n = shape.reduce((a, b) => a * b), x = new Float32Array(n);
    const cols = turned ? shape[1] : 1, rows = turned ? shape[2] : n;
    for (let r = 0; r < rows; r++)
        for (let c = 0; c < cols; c++)
            x[turned ? c * rows + r : r] = (r * cols + c) * 7 % 23 / 23 - 0.5;
    return new ort.Tensor('float32', x, shape);
}

async function silero(session) {
    const chunk = new Float32Array(576), out = new Float32Array(CHUNKS);
    const given = values([512]).data;
    const nothing = () => new ort.Tensor('float32', new Float32Array(128),
        [1, 128]);
    let h = nothing(), c = nothing();
    for (let i = 0; i < CHUNKS; i++) {
        chunk.copyWithin(0, 512);
        chunk.set(given, 64);
        const said = await session.run(
            {x: new ort.Tensor('float32', chunk, [1, 576]), h, c});
        out[i] = said.y.data[0];
        h = said.h1;
        c = said.c1;
    }
    return out;
}

async function main() {
    const session = await ort.InferenceSession.create(path, {
        intraOpNumThreads: +threads, interOpNumThreads: 1,
        executionMode: 'sequential', graphOptimizationLevel: 'all',
    });
    const shape = shapes[name];
    const feeds = {x: values(shape, name !== 'clip' && shape.length === 3)};
    const run = name === 'silero' ? () => silero(session) :
        async () => (await session.run(feeds)).y.data;
    let out = await run();
    const version = JSON.parse(fs.readFileSync(process.env.OV_ORT +
        '/node_modules/onnxruntime-node/package.json')).version;
    console.log('ready ' + version);
    for await (const line of readline.createInterface(process.stdin)) {
        if (line === 'run') {
            const begin = process.hrtime.bigint();
            out = await run();
            const ms = Number(process.hrtime.bigint() - begin) / 1e6;
            console.log((ms / (name === 'silero' ? CHUNKS : 1)).toFixed(5));
        } else if (line.startsWith('out ')) {
            fs.writeFileSync(line.slice(4), Buffer.from(out.buffer,
                out.byteOffset, out.byteLength));
            console.log('written');
        }
    }
}

main().catch((e) => {
    console.error('network_ort: ' + e.message);
    process.exit(1);
});
