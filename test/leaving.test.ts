// How a Node process that used a device ends (docs/decisions/0001-dawn-in-node.md), on the packages as built.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const start = `
  import { Tensor } from "@wgrad/tensor";
  import { openDevice } from "@wgrad/tensor/node";
  const device = await openDevice();
  const ones = Tensor.from(device, new Float32Array(256 * 256).fill(1), [256, 256]);
  const product = () => ones.matmul(ones);
  const collect = async () => {
    for (let i = 0; i < 5; i++) {
      gc();
      await new Promise((settle) => setTimeout(settle, 5));
    }
  };
`;

/** Runs a module in a Node of its own and tells how it ended. */
function node(script: string): { code: number | null; signal: string | null; out: string } {
  const done = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", start + script], {
    cwd: dirname(fileURLToPath(import.meta.url)),
    encoding: "utf8",
    timeout: 60_000,
  });
  return { code: done.status, signal: done.signal, out: done.stdout };
}

describe("a process that used a device", () => {
  it("survives a garbage collection between opening it and the first dispatch", () => {
    const ended = node("await collect(); console.log((await product().toArray())[0]);");
    expect(ended).toEqual({ code: 0, signal: null, out: "256\n" });
  });

  it("survives garbage collections while a read is pending", () => {
    const ended = node(`
      let values;
      const read = product().toArray().then((found) => { values = found; });
      while (!values) await collect();
      await read;
      console.log(values[0]);
    `);
    expect(ended).toEqual({ code: 0, signal: null, out: "256\n" });
  });

  it("ends by itself, with the device open and tensors alive", () => {
    expect(node("console.log((await product().toArray())[0]);").code).toBe(0);
  });

  it("ends by itself after a read that nobody awaited", () => {
    const ended = node('product().toArray().then(() => console.log("read"));');
    expect(ended).toEqual({ code: 0, signal: null, out: "read\n" });
  });

  it("ends with the code given to process.exit, also in the middle of a read", () => {
    expect(node("product().toArray(); process.exit(7);")).toEqual({ code: 7, signal: null, out: "" });
  });

  it("ends with 1 after an uncaught exception in the middle of a read", () => {
    expect(node('product().toArray(); throw new Error("on purpose");')).toEqual({
      code: 1,
      signal: null,
      out: "",
    });
  });
});
