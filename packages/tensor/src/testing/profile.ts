/** A profile of a made-up training step, for tests and for looking at reports without a GPU. */
import type { DispatchSample, Phase, Profile, StepSample } from "../profiler/profile.js";

type Call = Pick<
  DispatchSample,
  "kernel" | "op" | "module" | "phase" | "shape" | "flop" | "bytes" | "duration"
>;

interface Size {
  readonly layers: number;
  readonly rows: number;
  readonly dim: number;
}

/** A product of [m, k] and [k, n] at `gflops`. */
function product(
  place: Pick<Call, "module" | "phase" | "op">,
  [m, k, n]: readonly [number, number, number],
  gflops: number,
): Call {
  const flop = 2 * m * k * n;
  const bytes = 4 * (m * k + k * n + m * n);
  const kernel = gflops > 8 ? "matmul/6-subgroup-pair" : "matmul/3-register";
  return { ...place, kernel, shape: `[${m}, ${k}] × [${k}, ${n}]`, flop, bytes, duration: flop / gflops };
}

/** A kernel that moves `count` values `passes` times at `gbs`. */
function sweep(
  place: Pick<Call, "module" | "phase" | "op">,
  kernel: string,
  count: number,
  [passes, gbs, flopEach = 0]: readonly [number, number, number?],
): Call {
  const bytes = 4 * count * passes;
  return { ...place, kernel, shape: `[${count}]`, flop: flopEach * count, bytes, duration: bytes / gbs };
}

function layer(path: string, phase: Phase, { rows, dim }: Size): Call[] {
  const at = (name: string, op: string) => ({ module: `${path}.${name}`, phase, op });
  const back = phase === "backward";
  const linear = (name: string, k: number, n: number): Call[] =>
    back
      ? [
          product(at(name, "linear"), [rows, n, k], 10.4),
          product(at(name, "linear"), [k, rows, n], 9.1),
          sweep(at(name, "linear"), "linear.bias/2-columns", rows * n, [1, 1.6]),
        ]
      : [product(at(name, "linear"), [rows, k, n], 11.6)];
  const norm = (name: string) =>
    sweep(
      at(name, "layer_norm"),
      back ? "layer_norm.backward/3-subgroup" : "layer_norm/3-subgroup",
      rows * dim,
      [back ? 3 : 2, 1.9, back ? 11 : 7],
    );
  const flop = (back ? 10 : 4) * rows * 64 * dim;
  const attend: Call = {
    ...at("attention", "attention"),
    kernel: back ? "attention.dkv/2-blocks" : "attention/3-subgroup",
    shape: `[16, 6, ${rows / 16}, 64]`,
    flop,
    bytes: 16 * rows * dim,
    duration: flop / (back ? 4.2 : 6.1),
  };
  const gelu = sweep(
    at("ffn", "gelu"),
    back ? "gelu.backward/2-vec4" : "gelu/2-vec4",
    rows * 4 * dim,
    [2, 2.1, 9],
  );
  const calls = [
    ...linear("attention.q_lin", dim, dim),
    ...linear("attention.k_lin", dim, dim),
    ...linear("attention.v_lin", dim, dim),
    attend,
    ...linear("attention.out_lin", dim, dim),
    norm("sa_layer_norm"),
    ...linear("ffn.lin1", dim, 4 * dim),
    gelu,
    ...linear("ffn.lin2", 4 * dim, dim),
    norm("output_layer_norm"),
  ];
  return back ? calls.reverse() : calls;
}

function callsOf(size: Size): Call[] {
  const { rows, dim, layers } = size;
  const path = (i: number) => `distilbert.transformer.layer.${i}`;
  const order = Array.from({ length: layers }, (_, i) => i);
  const embed = { module: "distilbert.embeddings", op: "embedding" } as const;
  const root = { module: "", op: "cross_entropy" } as const;
  return [
    sweep({ ...embed, phase: "forward" }, "embedding/1-gather", rows * dim, [2, 1.1]),
    ...order.flatMap((i) => layer(path(i), "forward", size)),
    product({ module: "pre_classifier", phase: "forward", op: "linear" }, [16, dim, dim], 3.1),
    product({ module: "classifier", phase: "forward", op: "linear" }, [16, dim, 2], 0.2),
    sweep({ ...root, phase: "forward" }, "cross_entropy/2-fused", 32, [2, 0.01, 12]),
    sweep({ ...root, phase: "backward" }, "cross_entropy/2-fused", 32, [2, 0.01, 4]),
    ...order.toReversed().flatMap((i) => layer(path(i), "backward", size)),
    sweep({ ...embed, phase: "backward" }, "embedding.backward/2-sorted", rows * dim, [2, 0.7]),
    sweep(
      { module: null, phase: "optimizer", op: "grad_norm" },
      "grad_norm/2-tree",
      12 * layers * dim * dim,
      [1, 2.2, 2],
    ),
    sweep(
      { module: null, phase: "optimizer", op: "adamw" },
      "adamw/2-all",
      12 * layers * dim * dim,
      [7, 2.4, 14],
    ),
    sweep({ module: null, phase: "other", op: "add" }, "binary/1-element", 1, [3, 0.001]),
  ];
}

/**
 * Steps of a DistilBERT as a software adapter would run them.
 * @param options.timed false for an adapter without timestamps
 */
export function sampleProfile(
  options: { layers?: number; rows?: number; dim?: number; steps?: number; timed?: boolean } = {},
): Profile {
  const { layers = 6, rows = 1024, dim = 384, steps = 2, timed = true } = options;
  const calls = callsOf({ layers, rows, dim });
  const sample = (_: unknown, index: number): StepSample => {
    let now = 0;
    const dispatches = calls.map((call): DispatchSample => {
      const duration = timed ? Math.round(call.duration * (1 + 0.02 * index)) : 0;
      const begin = now;
      if (timed) now += duration + 2000;
      return { ...call, begin, duration };
    });
    return {
      seconds: timed ? now / 1e9 + 0.004 : 1.2,
      hostSeconds: 0.0021,
      cpuSeconds: timed ? (1.7 * now) / 1e9 : null,
      dispatches,
      submissions: 1,
      buffersCreated: 0,
      bindGroupsCreated: 0,
      pipelinesCreated: 0,
      peakLiveBytes: 187_000_000,
    };
  };
  const made = Array.from({ length: steps }, sample);
  return {
    title: `A training step of a DistilBERT: ${layers} layers of ${dim}, 16 × ${rows / 16} tokens`,
    adapter: "a software adapter, mesa, subgroups of 8, f16",
    timing: timed ? "dispatch" : "submission",
    steps: made,
    unprofiled: made.map(({ seconds, ...rest }) => ({ ...rest, seconds: seconds * 0.94 })),
    peaks: { flops: 46e9, bytesPerSecond: 2.6e9 },
  };
}
