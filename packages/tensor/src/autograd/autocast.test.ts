import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { Conv2d } from "../nn/conv2d.js";
import { Embedding, LayerNorm, Linear } from "../nn/layers.js";
import { Module } from "../nn/module.js";
import { openDevice } from "../node.js";
import { addLayerNorm } from "../ops/add-layer-norm/index.js";
import { scaledDotProductAttention } from "../ops/attention/index.js";
import { crossEntropy } from "../ops/cross-entropy/index.js";
import { AdamW } from "../optim/adam.js";
import { GradScaler } from "../optim/grad-scaler.js";
import { manualSeed } from "../random/index.js";
import { Tensor } from "../tensor.js";
import { autocast, autocastDtype } from "./autocast.js";
import { scope } from "./modes.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const [VOCABULARY, LENGTH, WIDTH, HEADS] = [37, 8, 32, 4];

/** One layer of a DistilBERT classifier. */
class Block extends Module {
  readonly words = new Embedding(device, VOCABULARY, WIDTH);
  readonly places = new Embedding(device, LENGTH, WIDTH);
  readonly norm = new LayerNorm(device, WIDTH);
  readonly q = new Linear(device, WIDTH, WIDTH);
  readonly k = new Linear(device, WIDTH, WIDTH);
  readonly v = new Linear(device, WIDTH, WIDTH);
  readonly out = new Linear(device, WIDTH, WIDTH);
  readonly afterAttention = new LayerNorm(device, WIDTH);
  readonly up = new Linear(device, WIDTH, 4 * WIDTH);
  readonly down = new Linear(device, 4 * WIDTH, WIDTH);
  readonly last = new LayerNorm(device, WIDTH);
  readonly classifier = new Linear(device, WIDTH, 2);

  forward(ids: Tensor, places: Tensor): { x: Tensor; logits: Tensor } {
    const embedded = this.norm.forward(this.words.forward(ids).add(this.places.forward(places)));
    const heads = (y: Tensor) => y.reshape([ids.shape[0]!, LENGTH, HEADS, WIDTH / HEADS]).transpose(1, 2);
    const [q, k, v] = [this.q, this.k, this.v].map((layer) => heads(layer.forward(embedded)));
    const mixed = scaledDotProductAttention(q!, k!, v!)
      .transpose(1, 2)
      .reshape([...embedded.shape]);
    const { weight, bias, eps } = this.afterAttention;
    const attended = addLayerNorm(this.out.forward(mixed), embedded, weight, bias, eps);
    const wide = this.down.forward(this.up.forward(attended).gelu());
    const x = this.last.forward(wide.add(attended));
    return {
      x,
      logits: this.classifier.forward(
        x
          .slice([
            [null, null],
            [0, 1],
          ])
          .reshape([ids.shape[0]!, WIDTH]),
      ),
    };
  }
}

const batch = (seed: number, rows: number) => {
  const ids = Int32Array.from(
    { length: rows * LENGTH },
    (_, i) => (i * 7 + seed * 11 + (i % 5) * seed) % VOCABULARY,
  );
  const labels = Int32Array.from({ length: rows }, (_, i) => ids[i * LENGTH]! % 2);
  return {
    ids: Tensor.from(device, ids, [rows, LENGTH]),
    labels: Tensor.from(device, labels, [rows]),
    places: Tensor.from(
      device,
      Int32Array.from({ length: rows * LENGTH }, (_, i) => i % LENGTH),
      [rows, LENGTH],
    ),
  };
};

describe("autocast", () => {
  it("is a mode that ends with its body, also by an error", () => {
    expect(autocast("f16", () => autocastDtype())).toBe("f16");
    expect(autocast("f16", () => autocast(null, autocastDtype))).toBeNull();
    expect(() =>
      autocast("f16", () => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(autocastDtype()).toBeNull();
    expect(() => autocast("f16", async () => {})).toThrow("synchronous");
  });

  it("says so on an adapter without f16", async () => {
    using limited = await openDevice({ limits: "default", features: [] });
    const layer = new Linear(limited, 4, 4);
    expect(() => autocast("f16", () => layer.forward(Tensor.zeros(limited, [1, 4])))).toThrow(
      "lacks shader-f16",
    );
  });

  const half = () => device.features.has("shader-f16");

  it("makes activations f16 from the embedding to the logits; gradients are f32", (context) => {
    if (!half()) context.skip("the adapter has no shader-f16");
    const block = new Block();
    const { ids, labels, places } = batch(1, 4);
    const { x, logits } = autocast("f16", () => block.forward(ids, places));
    expect([x.dtype, logits.dtype]).toEqual(["f16", "f16"]);
    const loss = crossEntropy(logits, labels);
    expect(loss.dtype).toBe("f32");
    loss.backward();
    for (const [name, p] of block.namedParameters()) expect([name, p.grad!.dtype]).toEqual([name, "f32"]);
  });

  it.each([
    ["one product", { stride: 2 }],
    ["direct", { stride: 1, padding: 1 }],
  ] as const)("makes a convolution f16: %s", async (_name, options) => {
    if (!half()) return;
    const layer = new Conv2d(device, 3, 4, 2, options);
    const x = Tensor.from(
      device,
      Float32Array.from({ length: 3 * 36 }, (_, i) => Math.sin(i)),
      [1, 3, 6, 6],
    );
    const y = autocast("f16", () => layer.forward(x));
    const want = await layer.forward(x).toArray();
    expect(y.dtype).toBe("f16");
    (await y.toArray()).forEach((got, i) => {
      expect(got).toBeCloseTo(want[i]!, 2);
    });
    y.sum().backward();
    expect(layer.weight.grad!.dtype).toBe("f32");
  });

  it("trains to losses near those of f32, with a GradScaler", async () => {
    if (!half()) return;
    const train = async (dtype: "f16" | null) => {
      manualSeed(device, 3);
      const block = new Block();
      const optimizer = new AdamW(block.parameters(), { lr: 3e-3 });
      const scaler = new GradScaler(device, { enabled: dtype !== null });
      const losses: number[] = [];
      for (let s = 0; s < 25; s++) {
        const loss = scope(() => {
          const { ids, labels, places } = batch(s % 5, 16);
          const made = autocast(dtype, () => crossEntropy(block.forward(ids, places).logits, labels));
          scaler.scale(made).backward();
          scaler.step(optimizer, { maxNorm: 1 });
          scaler.update();
          optimizer.zeroGrad();
          return made.detach();
        });
        losses.push(await loss.item());
        loss.dispose();
      }
      return { losses, skipped: await scaler.getSkippedSteps() };
    };
    const full = await train(null);
    const mixed = await train("f16");
    expect(full.losses.at(-1)!).toBeLessThan(0.5 * full.losses[0]!);
    mixed.losses.forEach((loss, s) => {
      expect(Math.abs(loss - full.losses[s]!)).toBeLessThan(0.05);
    });
    expect(mixed.skipped).toBeLessThan(5);
  });
});
