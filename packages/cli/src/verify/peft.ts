import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CLIPModel, clipConfig, DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { getPeftModel, type PeftModel } from "@wgrad/peft";
import { PeftModel as Adapters } from "@wgrad/peft/node";
import { AdamW, type Device, noGrad, scope, skipInit, type Tensor } from "@wgrad/tensor";
import { type CaseModel, caseInput, openCaseModel, runCaseModel } from "./case-models.js";
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

type Adapted = PeftModel<CaseModel>;

/** What the outputs of the merged model are called begins so. */
const MERGED = "out.merged_";

const values = async (tensor: Tensor) => (await tensor.toArray()) as Float32Array;

/** Adapters as PEFT wrote them: outputs, gradients, merged weights and training steps, against PEFT's own. */
export async function verifyPeft(
  device: Device,
  folder: string,
  onRow: (row: ReportRow) => void,
): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const name of entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()) {
    onRow(await verifyAdapter(device, folder, name));
  }
  await verifyCounts(device, join(folder, "counts.json"), onRow);
}

async function verifyAdapter(device: Device, folder: string, name: string): Promise<ReportRow> {
  const place = join(folder, name);
  const cases = await readCases<AdapterCases>(join(place, "io.json"));
  const stored = await StoredTensors.open(join(place, "io.safetensors"));
  const base = join(folder, cases.base);
  const { model: baseClass } = await readCases<{ model: string }>(join(base, "io.json"));
  const load = async (): Promise<Adapted> => {
    const model = await openCaseModel(baseClass, device, base);
    return (await Adapters.fromPretrained(model, join(place, cases.adapter), { isTrainable: true })).eval();
  };
  const input = (prefix: string) => caseInput(device, stored, prefix);
  /** Compares stored results with what has their names behind `prefix`. */
  const checkNamed = async (
    check: CaseChecker,
    names: readonly string[],
    prefix: string,
    found: ReadonlyMap<string, Tensor>,
  ) => {
    for (const name of names) {
      const tensor = found.get(name.slice(prefix.length));
      if (tensor) check.close(name, await values(tensor), stored.floats(name), cases.tol[name]);
      else check.fail(`${name}: the model has none.`);
    }
  };
  /** Runs a case on a freshly loaded model, and frees it. */
  const withModel = (what: string, body: (model: Adapted, check: CaseChecker) => Promise<void>) =>
    runCase(what, async (check) => {
      const model = await load();
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
      const outputs = stored.names.filter((one) => one.startsWith("out.") && !one.startsWith(MERGED));
      const { named } = noGrad(() => scope(() => runCaseModel(model, input("in."))));
      await checkNamed(check, outputs, "out.", named);
      for (const tensor of named.values()) tensor.dispose();
    }),
    await withModel("merged", async (peft, check) => {
      const model = peft.mergeAndUnload();
      const outputs = stored.names.filter((one) => one.startsWith(MERGED));
      const { named } = noGrad(() => scope(() => runCaseModel(model, input("in."))));
      await checkNamed(check, outputs, MERGED, named);
      for (const tensor of named.values()) tensor.dispose();
      const weights = stored.names.filter((one) => one.startsWith("merged."));
      await checkNamed(check, weights, "merged.", model.stateDict());
    }),
  ];
  const gradients = stored.names.filter((one) => one.startsWith("grad."));
  if (gradients.length > 0) {
    results.push(
      await withModel("gradients", async (model, check) => {
        scope(() => runCaseModel(model, input("in.")).loss.backward());
        const parameters = model.adapterState();
        const found = [...parameters].flatMap(([key, { grad }]) => (grad ? [[key, grad] as const] : []));
        await checkNamed(check, gradients, "grad.", new Map(found));
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
            const made = runCaseModel(model, input(`train.in.${step}.`)).loss;
            made.backward();
            optimizer.step();
            optimizer.zeroGrad();
            return made;
          });
          losses.push(await loss.item());
          loss.dispose();
        }
        check.close("losses", losses, stored.floats("train.losses"), cases.tol["train.losses"]);
        const final = stored.names.filter((one) => one.startsWith("train.final."));
        await checkNamed(check, final, "train.final.", model.adapterState());
        optimizer.dispose();
      }),
    );
  }
  return rowOf("peft", name, results);
}

/** Models of full size, by how the counts name them. */
const FULL_SIZE: Readonly<Record<string, (device: Device) => CaseModel>> = {
  "distilbert-base": (device) => new DistilBertForSequenceClassification(device, distilBertConfig()),
  "clip-vit-base-patch16": (device) =>
    new CLIPModel(device, clipConfig({ vision_config: { patch_size: 16 } })),
};

/** What `printTrainableParameters` prints for models of full size, whose weights are not filled in. */
async function verifyCounts(device: Device, path: string, onRow: (row: ReportRow) => void): Promise<void> {
  const counts = await readCases<Count[]>(path);
  const nameOf = ({ model }: Count) => model.split(/[ ,]/, 1)[0]!;
  for (const name of new Set(counts.map(nameOf))) {
    const group = counts.filter((one) => nameOf(one) === name);
    const make = FULL_SIZE[name];
    if (!make) {
      onRow(skippedRow("peft", `counts of ${name}`, group.length, "this version has no model of this kind."));
      continue;
    }
    const model = skipInit(() => make(device));
    const results = [];
    for (const one of group) {
      results.push(
        await runCase(`${one.model}, r ${one.r}`, (check) => {
          const peft = getPeftModel(model, {
            r: one.r,
            targetModules: one.target_modules,
            modulesToSave: one.modules_to_save,
          });
          peft.printTrainableParameters((line) => check.equal("printed", line, one.printed));
          peft.unload();
        }),
      );
    }
    model.dispose();
    onRow(rowOf("peft", `counts of ${name}`, results));
  }
}
