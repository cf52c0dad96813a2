// What LoRA saves: the training step of a DistilBERT classifier with every weight trained, and with adapters on q_lin and v_lin.
//
//   node bench/step/lora.mjs [--size mini|tiny] [--rank 16] [--rounds 5] [--json FILE]
//
// Frozen weights get no gradient and no optimizer work, which is a third of a step's arithmetic; the gradients of activations
// stay. The head is trained in both, as PEFT does for sequence classification.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { getPeftModel } from "@wgrad/peft";
import { Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { readStepData, writeStepData } from "../lib/step-data.mjs";
import { inTurn, stepModel, trainingStep } from "./in-turn.mjs";

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "mini" },
    rank: { type: "string", default: "16" },
    rounds: { type: "string", default: "5" },
    json: { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
writeStepData(folder, options.size);
const data = readStepData(folder, options.size);
const device = await openDevice();
const { batch, tokens } = data.config;
const upload = () => ({
  inputIds: Tensor.from(device, data.ids, [batch, tokens]),
  attentionMask: Tensor.from(device, data.mask, [batch, tokens]),
  labels: Tensor.from(device, data.labels, [batch]),
});
const full = await stepModel(device, data);
const adapted = getPeftModel(await stepModel(device, data), {
  r: Number(options.rank),
  targetModules: ["q_lin", "v_lin"],
  taskType: "SEQ_CLS",
});
rmSync(folder, { recursive: true });

const counted = (model) => {
  const step = trainingStep(device, model, data.optimizer, upload);
  let dispatches = 0;
  return {
    trained: model.numParameters({ trainable: true }),
    dispatches: () => dispatches,
    async step() {
      const before = device.snapshot().dispatches;
      await step();
      dispatches = device.snapshot().dispatches - before;
    },
  };
};
const ways = [
  { name: "every weight", ...counted(full) },
  { name: `LoRA, r ${options.rank} on q_lin, v_lin`, ...counted(adapted) },
];
const measured = await inTurn(ways, { rounds: Number(options.rounds) });
const rows = measured.map((m, i) => ({ ...m, trained: ways[i].trained, dispatches: ways[i].dispatches() }));
const [whole, lora] = rows;
const checks = [{ what: "CPU time of a LoRA step / a full step", found: lora.cpu / whole.cpu, atMost: 0.72 }];

console.log(
  `${device.description}: DistilBERT ${options.size}, ${batch} x ${tokens} tokens, one training step\n`,
);
console.log(
  table(
    ["trained", "parameters", "dispatches", "CPU ms", "wall ms", "of the full step"],
    rows.map((r) => [
      r.name,
      r.trained.toLocaleString("en-US"),
      r.dispatches,
      short(r.cpu),
      short(r.wall),
      short(r.cpu / whole.cpu),
    ]),
  ),
);
console.log(`\n${checkTable(checks)}`);
if (options.json) writeJson(options.json, "step-lora", device.info, { size: options.size, rows, checks });
device.close();
