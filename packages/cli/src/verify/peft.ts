import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AutoModelForSequenceClassification } from "@wgrad/models/node";
import { getPeftModel, type PeftModel } from "@wgrad/peft";
import { PeftModel as Adapters } from "@wgrad/peft/node";
import { AdamW, type Device, noGrad, scope, skipInit, Tensor } from "@wgrad/tensor";
import { type CaseChecker, type ReportRow, rowOf, runCase, skippedRow, type Tolerance } from "./compare.js";
import { readCases, StoredTensors } from "./files.js";

interface AdapterCases {
  base: string;
  adapter: string;
  trainable: number;
  all: number;
  train?: { lr: number; betas: [number, number]; eps: number; weight_decay: number; steps: number };
  tol: Record<string, Tolerance>;
}

interface Count {
  model: string;
  r: number;
  target_modules: string[] | string;
  modules_to_save: string[];
  trainable: number;
  all: number;
  printed: string;
}

type Adapted = PeftModel<DistilBertForSequenceClassification>;

const values = async (tensor: Tensor) => (await tensor.toArray()) as Float32Array;

/** Adapters as PEFT wrote them: outputs, gradients, merged weights and training steps, against PEFT's own. */
export async function verifyPeft(
  device: Device,
  folder: string,
  onRow: (row: ReportRow) => void,
): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const name of entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()) {
    if (!name.startsWith("distilbert-")) {
      onRow(skippedRow("peft", name, 1, "this version has no model of this kind."));
    } else {
      onRow(await verifyAdapter(device, folder, name));
    }
  }
  onRow(await verifyCounts(device, join(folder, "counts.json")));
}

async function verifyAdapter(device: Device, folder: string, name: string): Promise<ReportRow> {
  const place = join(folder, name);
  const cases = await readCases<AdapterCases>(join(place, "io.json"));
  const stored = await StoredTensors.open(join(place, "io.safetensors"));
  const load = async (isTrainable: boolean): Promise<Adapted> => {
    const { model } = await AutoModelForSequenceClassification.fromPretrained(
      device,
      join(folder, cases.base),
      { config: { dropout: 0, attention_dropout: 0, seq_classif_dropout: 0 } },
    );
    return Adapters.fromPretrained(model, join(place, cases.adapter), { isTrainable });
  };
  const input = (prefix: string) => {
    const tensor = (key: string) =>
      Tensor.from(device, stored.ints(`${prefix}.${key}`), stored.shape(`${prefix}.${key}`));
    return {
      inputIds: tensor("input_ids"),
      attentionMask: tensor("attention_mask"),
      labels: tensor("labels"),
    };
  };
  /** Runs a case on a freshly loaded model, and frees it. */
  const withModel = (what: string, body: (model: Adapted, check: CaseChecker) => Promise<void>) =>
    runCase(what, async (check) => {
      const model = await load(true);
      try {
        await body(model, check);
      } finally {
        model.dispose();
      }
    });

  const results = [
    await withModel("outputs", async (model, check) => {
      const { trainable, all } = model.getNbTrainableParameters();
      check.equal("trainable parameters", trainable, cases.trainable);
      check.equal("all parameters", all, cases.all);
      const { loss, logits } = noGrad(() => scope(() => model.forward(input("in"))));
      check.close("loss", await values(loss!), stored.floats("out.loss"), cases.tol["out.loss"]);
      check.close("logits", await values(logits), stored.floats("out.logits"), cases.tol["out.logits"]);
      loss!.dispose();
      logits.dispose();
    }),
    await withModel("merged", async (peft, check) => {
      const model = peft.mergeAndUnload();
      const logits = noGrad(() => scope(() => model.forward({ ...input("in"), labels: null }).logits));
      const key = "out.merged_logits";
      check.close("logits", await values(logits), stored.floats(key), cases.tol[key]);
      logits.dispose();
      const state = model.stateDict();
      for (const merged of stored.names.filter((one) => one.startsWith("merged."))) {
        const weight = state.get(merged.slice("merged.".length));
        if (!weight) check.fail(`${merged}: the merged model has no such weight.`);
        else check.close(merged, await values(weight), stored.floats(merged), cases.tol[merged]);
      }
    }),
  ];
  const gradients = stored.names.filter((one) => one.startsWith("grad."));
  if (gradients.length > 0) {
    results.push(
      await withModel("gradients", async (model, check) => {
        scope(() => model.forward(input("in")).loss!.backward());
        const parameters = model.adapterState();
        for (const key of gradients) {
          const grad = parameters.get(key.slice("grad.".length))?.grad;
          if (!grad) check.fail(`${key}: no gradient came.`);
          else check.close(key, await values(grad), stored.floats(key), cases.tol[key]);
        }
        const own = new Set(parameters.values());
        const frozen = [...model.parameters()].filter((p) => p.grad && !own.has(p));
        check.equal("frozen parameters with a gradient", frozen.length, 0);
        model.zeroGrad();
      }),
    );
  }
  const { train } = cases;
  if (train) {
    results.push(
      await withModel("training", async (model, check) => {
        const optimizer = new AdamW(
          [...model.parameters()].filter((p) => p.requiresGrad),
          { lr: train.lr, betas: train.betas, eps: train.eps, weightDecay: train.weight_decay },
        );
        const losses: number[] = [];
        for (let step = 0; step < train.steps; step++) {
          const loss = scope(() => {
            const made = model.forward(input(`train.in.${step}`)).loss!;
            made.backward();
            optimizer.step();
            optimizer.zeroGrad();
            return made;
          });
          losses.push(await loss.item());
          loss.dispose();
        }
        check.close("losses", losses, stored.floats("train.losses"), cases.tol["train.losses"]);
        const parameters = model.adapterState();
        for (const key of stored.names.filter((one) => one.startsWith("train.final."))) {
          const parameter = parameters.get(key.slice("train.final.".length));
          if (!parameter) check.fail(`${key}: the model has no such parameter.`);
          else check.close(key, await values(parameter), stored.floats(key), cases.tol[key]);
        }
        optimizer.dispose();
      }),
    );
  }
  return rowOf("peft", name, results);
}

/** What `printTrainableParameters` prints for models of full size, whose weights are not filled in. */
async function verifyCounts(device: Device, path: string): Promise<ReportRow> {
  const counts = await readCases<Count[]>(path);
  const ours = counts.filter(({ model }) => model.startsWith("distilbert"));
  const results = [];
  for (const one of ours) {
    results.push(
      await runCase(`r ${one.r}`, (check) => {
        const model = skipInit(() => new DistilBertForSequenceClassification(device, distilBertConfig()));
        const peft = getPeftModel(model, {
          r: one.r,
          targetModules: one.target_modules,
          modulesToSave: one.modules_to_save,
        });
        peft.printTrainableParameters((line) => check.equal("printed", line, one.printed));
        peft.dispose();
      }),
    );
  }
  return rowOf("peft", "counts of distilbert-base", results);
}
