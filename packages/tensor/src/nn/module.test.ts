import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import { Dropout, Embedding, LayerNorm, Linear } from "./layers.js";
import { Module, ModuleList, skipInit } from "./module.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

class Block extends Module {
  q_lin = new Linear(device, 4, 4);
  norm = new LayerNorm(device, 4, { eps: 1e-12 });
}

class Net extends Module {
  embeddings = new Embedding(device, 7, 4, { paddingIdx: 0 });
  layer = new ModuleList([new Block(), new Block()]);
  dropout = new Dropout(0.1);
  projector = new Linear(device, 4, 7, { bias: false });

  constructor() {
    super();
    this.projector.weight.dispose();
    this.projector.weight = this.embeddings.weight;
  }
}

describe("Module", () => {
  it("names parameters by their place in the tree, shared ones once", () => {
    expect([...new Net().namedParameters()].map(([name]) => name)).toEqual([
      "embeddings.weight",
      "layer.0.q_lin.weight",
      "layer.0.q_lin.bias",
      "layer.0.norm.weight",
      "layer.0.norm.bias",
      "layer.1.q_lin.weight",
      "layer.1.q_lin.bias",
      "layer.1.norm.weight",
      "layer.1.norm.bias",
    ]);
  });

  it("keeps shared parameters under both names in the state", () => {
    const state = new Net().stateDict();
    expect(state.get("projector.weight")).toBe(state.get("embeddings.weight"));
  });

  it("counts elements, all and trained", () => {
    const net = new Net();
    expect(net.numParameters()).toBe(7 * 4 + 2 * (16 + 4 + 8));
    net.embeddings.requiresGrad_(false);
    expect(net.numParameters({ trainable: true })).toBe(2 * (16 + 4 + 8));
  });

  it("prints as PyTorch does, equal neighbours of a list merged", () => {
    expect(String(new Net())).toBe(
      [
        "Net(",
        "  (embeddings): Embedding(7, 4, padding_idx=0)",
        "  (layer): ModuleList(",
        "    (0-1): 2 x Block(",
        "      (q_lin): Linear(in_features=4, out_features=4, bias=True)",
        "      (norm): LayerNorm((4,), eps=1e-12, elementwise_affine=True)",
        "    )",
        "  )",
        "  (dropout): Dropout(p=0.1, inplace=False)",
        "  (projector): Linear(in_features=4, out_features=7, bias=False)",
        ")",
      ].join("\n"),
    );
  });

  it("finds and replaces a module by its path, in lists too", () => {
    const net = new Net();
    expect(net.getSubmodule("")).toBe(net);
    expect(net.getSubmodule("layer.1.q_lin")).toBe(net.layer.at(1).q_lin);
    const [linear, block] = [new Linear(device, 4, 4), new Block()];
    net.setSubmodule("layer.1.q_lin", linear);
    net.setSubmodule("layer.0", block);
    expect(net.layer.at(1).q_lin).toBe(linear);
    expect(net.layer.at(0)).toBe(block);
    expect(() => net.getSubmodule("layer.1.k_lin")).toThrow(
      'getSubmodule: "layer.1.k_lin": Block has no module "k_lin". It has q_lin, norm.',
    );
    expect(() => net.setSubmodule("decoder", linear)).toThrow(/Net has no module "decoder"/);
  });

  it("switches training mode in the whole tree", () => {
    const net = new Net();
    net.eval();
    expect([...net.namedModules()].every(([, module]) => !module.training)).toBe(true);
    net.train();
    expect(net.dropout.training).toBe(true);
  });

  it("loads a state, and names what is missing, left over or of another shape", async () => {
    const net = new Net();
    const bias = Tensor.from(device, Float32Array.of(1, 2, 3, 4), [4]);
    expect(() => net.loadStateDict(new Map([["layer.0.q_lin.bias", bias]]))).toThrow(
      /Missing: .*layer\.1\.norm\.bias/,
    );
    expect(() => net.loadStateDict(new Map([["layer.0.q_lin.weight", bias]]), { strict: false })).toThrow(
      /layer\.0\.q_lin\.weight has shape \[4\] in the state and \[4, 4\] in the model/,
    );
    const report = net.loadStateDict(
      new Map([
        ["layer.0.q_lin.bias", bias],
        ["extra", bias],
      ]),
      { strict: false },
    );
    expect(report.unexpectedKeys).toEqual(["extra"]);
    expect(report.missingKeys).not.toContain("layer.0.q_lin.bias");
    expect(await net.layer.at(0).q_lin.bias!.tolist()).toEqual([1, 2, 3, 4]);
  });

  it("draws new weights as PyTorch does, and none inside skipInit", async () => {
    const layer = new Linear(device, 100, 300);
    const bound = 1 / Math.sqrt(100);
    const weight = (await layer.weight.toArray()) as Float32Array;
    expect(Math.max(...weight)).toBeLessThanOrEqual(bound);
    expect(Math.min(...weight)).toBeGreaterThanOrEqual(-bound);
    const deviation = Math.sqrt(weight.reduce((sum, w) => sum + w * w, 0) / weight.length);
    expect(deviation).toBeCloseTo(bound / Math.sqrt(3), 3);
    const before = device.snapshot().dispatches;
    skipInit(() => new Linear(device, 100, 300));
    expect(device.snapshot().dispatches).toBe(before);
  });
});
