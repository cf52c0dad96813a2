// The loggers in a run, in one that goes on after a checkpoint, and where W&B cannot be reached.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataset } from "@wgrad/datasets";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { type Device, manualSeed } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { TrainerCallback } from "../callbacks.js";
import { dataCollatorWithPadding, type Example } from "../data-collator.js";
import { classificationMetrics } from "../metrics.js";
import { readEvents, readWandb } from "../testing/read-logs.js";
import { Trainer, type TrainerOptions } from "../trainer.js";
import type { ConsoleSink } from "./console-sink.js";
import { getReportingCallbacks, LOGGER_NAMES } from "./index.js";
import { JsonLinesCallback } from "./json-lines.js";
import { PrinterCallback } from "./printer.js";
import { TensorBoardCallback } from "./tensorboard.js";
import { WandbCallback } from "./wandb.js";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wgrad-loggers-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

const examples = Dataset.fromList<Example>(
  Array.from({ length: 12 }, (_, i) => ({ inputIds: [1, 3 + (i % 7), 10 + (i % 2), 2], label: i % 2 })),
);

function newTrainer(args: TrainerOptions["args"], callbacks: TrainerCallback[]): Trainer {
  manualSeed(device, 1);
  const config = distilBertConfig({
    vocab_size: 20,
    dim: 16,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 16,
    max_position_embeddings: 8,
  });
  return new Trainer({
    model: new DistilBertForSequenceClassification(device, config).initAllWeights(),
    args: {
      outputDir: join(folder, "run"),
      perDeviceTrainBatchSize: 4,
      perDeviceEvalBatchSize: 12,
      learningRate: 1e-3,
      numTrainEpochs: 2,
      loggingSteps: 1,
      evalStrategy: "epoch",
      saveStrategy: "epoch",
      ...args,
    },
    trainDataset: examples,
    evalDataset: examples,
    dataCollator: dataCollatorWithPadding({ padTokenId: 0 }),
    computeMetrics: classificationMetrics,
    callbacks,
  });
}

/** Stops as if the process had ended: no `onTrainEnd`. */
class Killed extends Error {}
const killedAt = (step: number): TrainerCallback => ({
  onStepBegin: ({ state }) => {
    if (state.globalStep === step) throw new Killed();
  },
});

describe("reportTo", () => {
  it("makes the loggers that it names, none twice and none that there is already", () => {
    const names = (loggers: readonly TrainerCallback[]) => loggers.map((logger) => logger.constructor.name);
    expect(names(getReportingCallbacks(["tensorboard", "wandb", "tensorboard", "none"]))).toEqual([
      "TensorBoardCallback",
      "WandbCallback",
    ]);
    expect(names(getReportingCallbacks(["all"], [new JsonLinesCallback()]))).toEqual([
      "PrinterCallback",
      "TensorBoardCallback",
      "WandbCallback",
    ]);
    expect(getReportingCallbacks(["none"])).toEqual([]);
    expect(() => getReportingCallbacks(["mlflow"])).toThrow(
      `there is no logger "mlflow". There are: ${LOGGER_NAMES.join(", ")}`,
    );
  });
});

describe("a run that goes on after a checkpoint", () => {
  it("has every entry once in log.jsonl and in the event files, histograms included", async () => {
    const args = { loggingHistograms: 2 };
    const killed = newTrainer({ ...args, reportTo: ["jsonl", "tensorboard"] }, [killedAt(5)]);
    await expect(killed.train()).rejects.toThrow(Killed);
    const runs = join(folder, "run", "runs");
    const first = readEvents(join(runs, readdirSync(runs)[0]!));
    expect(first.filter((event) => event.tag === "train/loss").map((event) => event.step)).toEqual([
      1, 2, 3, 4, 5,
    ]);

    const trainer = newTrainer({ ...args, reportTo: ["jsonl", "tensorboard"] }, []);
    await trainer.train({ resumeFromCheckpoint: true });
    const lines = readFileSync(join(folder, "run", "log.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual(trainer.state.logHistory);

    expect(readdirSync(runs)).toHaveLength(1);
    const events = readEvents(join(runs, readdirSync(runs)[0]!));
    for (const entry of trainer.state.logHistory) {
      // An evaluation's entry has the epoch too, as the step's before it.
      const { step, epoch: _epoch, ...values } = entry;
      for (const [name, value] of Object.entries(values)) {
        const tag = name.startsWith("eval_") ? `eval/${name.slice(5)}` : `train/${name}`;
        const found = events.filter((event) => event.tag === tag && event.step === step);
        expect(
          found.map((event) => event.value),
          `${tag} at ${step}`,
        ).toEqual([Math.fround(value)]);
      }
    }
    const histograms = events.filter((event) => event.kind === "histogram");
    const trained = [...trainer.model.namedParameters()].map(([name]) => name);
    for (const group of ["weights", "gradients"])
      for (const name of trained)
        expect(
          histograms.filter((event) => event.tag === `${group}/${name}`).map((event) => event.step),
        ).toEqual([2, 4, 6]);
    expect(events.filter((event) => event.kind === "text").map((event) => event.tag)).toContain(
      "args/text_summary",
    );
  });

  it("drops an older run's curves when it begins anew in the same folder", async () => {
    const args = {
      loggingDir: join(folder, "tb"),
      maxSteps: 2,
      evalStrategy: "no",
      saveStrategy: "no",
    } as const;
    await newTrainer(args, [new TensorBoardCallback()]).train();
    await newTrainer({ ...args, maxSteps: 1 }, [new TensorBoardCallback()]).train();
    const events = readEvents(join(folder, "tb"));
    expect(events.filter((event) => event.tag === "train/loss").map((event) => event.step)).toEqual([1]);
  });
});

describe("PrinterCallback", () => {
  it("prints a table with a row an epoch and, without a live line, a line a log; no escape sequence", async () => {
    const out: string[] = [];
    const err: string[] = [];
    const progress = { update: () => {}, finish: () => {} };
    const sink: ConsoleSink = {
      live: false,
      result: (text) => void out.push(text),
      note: (text) => void err.push(text),
      status: () => {},
      progress: () => progress,
      done: () => {},
    };
    const printer = new PrinterCallback(sink);
    const trainer = newTrainer({ loggingSteps: 2 }, [printer]);
    await trainer.train();
    expect(out).toHaveLength(3);
    expect(out[0]).toMatch(
      /^ epoch {2}train loss {3}val loss {3}accuracy {2}precision {5}recall {9}F1 {6}time\n─/,
    );
    expect(out[2]).toMatch(
      /^ {5}2 +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\S+ \S+$/,
    );
    expect(printer.epochs.map((row) => row.epoch)).toEqual([1, 2]);
    const losses = trainer.state.logHistory.filter((entry) => entry.epoch > 1 && entry.loss !== undefined);
    expect(losses.map((entry) => entry.step)).toEqual([4, 6]);
    expect(printer.epochs[1]!.trainLoss).toBeCloseTo((losses[0]!.loss! * 1 + losses[1]!.loss! * 2) / 3, 6);
    expect(
      err.some((line) =>
        /^step 2\/6 {2}epoch 0\.67 {2}loss \d\.\d{4} {2}grad norm .* lr 8\.33e-4/.test(line),
      ),
      err.join("\n"),
    ).toBe(true);
    expect([...out, ...err].join("")).not.toContain("\x1b");
  });
});

describe("WandbCallback, with W&B's own SDK", () => {
  beforeEach(() => {
    for (const name of ["WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_RUN_ID", "WANDB_BASE_URL"])
      vi.stubEnv(name, undefined);
    // Where the SDK looks for a key that was saved.
    vi.stubEnv("HOME", folder);
    vi.stubEnv("USERPROFILE", folder);
  });

  /** A short run; what was said, and the rows of its file. */
  async function run(timeout = 30): Promise<{
    said: string[];
    rows: Record<string, unknown>[];
    trainer: Trainer;
    run: Record<string, unknown>;
  }> {
    const said: string[] = [];
    const wandb = new WandbCallback({
      dir: folder,
      project: "tests",
      timeout,
      say: (line) => void said.push(line),
    });
    const trainer = newTrainer({ maxSteps: 2, evalStrategy: "no", saveStrategy: "no", runName: "short" }, [
      wandb,
    ]);
    await trainer.train();
    const file = readdirSync(wandb.folder).find((name) => name.endsWith(".wandb"))!;
    return {
      said: said.map((line) => line.replace(wandb.folder, "FOLDER")),
      ...readWandb(join(wandb.folder, file)),
      trainer,
    };
  }

  const rowsOf = (trainer: Trainer) =>
    trainer.state.logHistory.map(({ step, ...values }) => ({
      ...Object.fromEntries(Object.entries(values).map(([name, value]) => [`train/${name}`, value])),
      "train/global_step": step,
    }));

  it("keeps a run that is offline in a file for wandb sync", async () => {
    vi.stubEnv("WANDB_MODE", "offline");
    const { said, rows, run: record, trainer } = await run();
    expect(said).toEqual(["W&B: offline. Send the run later with: wandb sync FOLDER"]);
    expect(rows.map(({ _step, _runtime, _timestamp, ...row }) => row)).toEqual(rowsOf(trainer));
    expect(record).toMatchObject({
      project: "tests",
      name: "short",
      config: { dim: 16, learning_rate: 1e-3 },
    });
  });

  it("goes on without a key, and keeps the run", async () => {
    const { said, rows, trainer } = await run();
    expect(said).toEqual([
      "W&B: no key (set WANDB_API_KEY, or log in once with wandb login). Training is not affected; send the run later with: wandb sync FOLDER",
    ]);
    expect(rows).toHaveLength(trainer.state.logHistory.length);
  });

  it("goes on without a network, and does not show the key", async () => {
    const key = "0123456789012345678901234567890123456789";
    vi.stubEnv("WANDB_API_KEY", key);
    vi.stubEnv("WANDB_BASE_URL", "http://127.0.0.1:9");
    const { said, rows, trainer } = await run();
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(
      /^W&B: .*ECONNREFUSED 127\.0\.0\.1:9.*\. Training is not affected; send the run later with: wandb sync FOLDER$/,
    );
    expect(said[0]).not.toContain(key);
    expect(rows).toHaveLength(trainer.state.logHistory.length);
  });

  describe("with a server", () => {
    let server: Server;
    const got: { url: string; body: string }[] = [];
    let refuses = false;
    let isSilent = false;
    beforeAll(async () => {
      server = createServer((request, response) => {
        let body = "";
        request.on("data", (text) => {
          body += text;
        });
        request.on("end", () => {
          if (isSilent) return;
          got.push({ url: request.url!, body });
          response.setHeader("content-type", "application/json");
          const data = body.includes("query Viewer")
            ? { viewer: { id: "1", entity: "someone", flags: "{}", teams: { edges: [] } } }
            : { upsertBucket: { bucket: { id: "1", name: "x", displayName: "short" }, inserted: true } };
          if (refuses && !body.includes("query Viewer")) response.statusCode = 403;
          response.end(JSON.stringify({ data }));
        });
      });
      await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
    });
    afterAll(() => {
      server.closeAllConnections();
      server.close();
    });
    beforeEach(() => {
      got.length = 0;
      vi.stubEnv("WANDB_API_KEY", "0123456789012345678901234567890123456789");
      vi.stubEnv("WANDB_BASE_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });

    it("sends every row through the SDK before training ends", async () => {
      refuses = false;
      const { said, trainer } = await run();
      expect(said).toEqual([
        expect.stringMatching(/^W&B: http:\/\/127\.0\.0\.1:\d+\/someone\/tests\/runs\/[a-z0-9]{8}$/),
      ]);
      const sent = got
        .filter(({ url }) => url.endsWith("/file_stream"))
        .map(
          ({ body }) =>
            JSON.parse(body) as { complete?: boolean; files?: Record<string, { content: string[] }> },
        );
      const rows = sent
        .flatMap(({ files }) => files?.["wandb-history.jsonl"]?.content ?? [])
        .map((text) => JSON.parse(text));
      expect(rows.map(({ _step, _runtime, _timestamp, ...row }) => row)).toEqual(rowsOf(trainer));
      expect(sent.at(-1)).toEqual({ complete: true, exitcode: 0 });
    });

    it("does not wait for ever for W&B", async () => {
      isSilent = true;
      const { said } = await run(0.5);
      isSilent = false;
      expect(said).toEqual([
        "W&B: no answer for 0.5 s at the end. Training is not affected; send the run later with: wandb sync FOLDER",
      ]);
    });

    it("goes on when W&B refuses the run", async () => {
      refuses = true;
      const { said, rows, trainer } = await run();
      expect(said.at(-1)).toMatch(/^W&B: .*403.*Training is not affected; send the run later/);
      expect(rows).toHaveLength(trainer.state.logHistory.length);
    });
  });
});
