/** The pages that `wgrad report` and `wgrad compare --html` write, in a real Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { comparisonRows } from "../packages/cli/src/compare/rows.ts";
import { reportOf } from "../packages/cli/src/report/data.ts";
import { comparisonPage, reportPage } from "../packages/cli/src/report/page.ts";
import { readRuns } from "../packages/cli/src/runs/run-folder.ts";
import { HOSTILE, sampleFeaturesRun, sampleRun } from "../packages/cli/src/testing/runs.ts";
import { findChromium } from "./browser/chromium.ts";

const executablePath = findChromium();
const why = executablePath ? "" : " (no Chromium found: install it or set CHROMIUM_PATH)";

describe.skipIf(!executablePath)(`the page of a report${why}`, () => {
  let folder: string;
  let browser: Browser;
  let page: Page;
  const wrong: string[] = [];
  const at = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "wgrad-report-"));
    const long = `${"unbroken".repeat(60)} ${"and on and on ".repeat(700)}`;
    await sampleRun(at("runs/finetune"), {
      examples: 40,
      texts: Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? HOSTILE : long)),
      labels: [HOSTILE, "pos"],
      recipe: { run_name: HOSTILE },
    });
    await sampleRun(at("runs/lora"), { learningRate: 5e-4, metrics: { lab: "lora" } });
    await sampleFeaturesRun(at("runs/features-svm"));
    await sampleRun(at("runs/interrupted"), {
      epochs: 0,
      hasTest: false,
      hasValidation: false,
      metrics: { interrupted: true },
    });
    await sampleRun(at("many"), { classes: 200, examples: 2000 });
    await write("several.html", ["runs"]);
    await write("one.html", ["runs/finetune"]);
    await write("many.html", ["many"]);
    const runs = await readRuns([at("runs")]);
    const reports = runs.map((run) => reportOf(run, 0));
    writeFileSync(at("compare.html"), comparisonPage(runs, reports, comparisonRows(runs), HOSTILE));
    browser = await chromium.launch({ executablePath: executablePath!, args: ["--disable-quic"] });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
    page.on("console", (message) => wrong.push(message.text()));
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith("file:")) wrong.push(`asks for ${request.url()}`);
    });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function write(name: string, folders: readonly string[]): Promise<void> {
    const runs = await readRuns(folders.map(at));
    const reports = runs.map((run) => reportOf(run, 5));
    writeFileSync(at(name), reportPage(runs, reports, `${HOSTILE}${name}`));
  }
  const open = (name: string) => page.goto(pathToFileURL(at(name)).href);
  const visible = () => page.locator("main").innerText();

  it("shows curves, results, examples, costs and settings of a run", async () => {
    await open("one.html");
    const headings = await page.locator("h2").allInnerTexts();
    expect(headings).toEqual([
      "Training",
      "Results on test",
      "Results on validation",
      "Examples from test",
      "Time and memory",
      "Configuration",
      "Environment",
    ]);
    expect(await page.locator("svg[role=img]").count()).toBe(5);
    for (const chart of await page.locator("svg[role=img]").all())
      expect(await chart.getAttribute("aria-label")).toMatch(/: .+ (from|to|\d)/);
    expect(await page.locator(".examples li").count()).toBe(10);
    expect(await page.locator(".matrix tbody td").count()).toBe(8);
  });

  it("takes no text for its own", async () => {
    expect(await page.evaluate("window.broken")).toBeUndefined();
    expect(await page.locator("script, main img").count()).toBe(0);
    expect(await page.title()).toBe(`${HOSTILE}one.html`);
    expect(await visible()).toContain(HOSTILE.trim());
    // A long text is shown in part, and whole when asked for.
    const more = page.locator("details").first();
    expect(await more.locator("p").isVisible()).toBe(false);
    await more.locator("summary").click();
    expect((await more.locator("p").innerText()).length).toBeGreaterThan(9000);
  });

  it("puts several runs beside each other, whatever they are", async () => {
    await open("several.html");
    const rows = await page.locator("#comparison table").first().locator("tbody tr").count();
    expect(rows).toBe(5 + 3);
    expect(await page.locator("#comparison figure > svg").count()).toBe(4);
    expect(await page.locator("article .notice").count()).toBe(1);
    for (const link of await page.locator("nav a").all())
      expect(await page.locator((await link.getAttribute("href"))!).count()).toBe(1);
    const ids = await page.locator("[id]").evaluateAll((all) => all.map(({ id }) => id));
    expect(new Set(ids).size).toBe(ids.length);
    expect(await visible()).not.toMatch(/undefined|NaN|\[object|Infinity/);
  });

  it("sums up what many classes are taken for", async () => {
    await open("many.html");
    expect(await page.locator(".matrix").count()).toBe(0);
    expect(await page.locator(".map svg").count()).toBe(2);
    expect(await visible()).toContain("Classes that are taken for each other most");
  });

  it.each(["one.html", "several.html", "many.html", "compare.html"])("%s fits a phone", async (name) => {
    await page.setViewportSize({ width: 390, height: 800 });
    await open(name);
    // Wide tables scroll inside their own boxes.
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it("turns dark with the system, and is light on paper", async () => {
    await open("one.html");
    const colours = () =>
      page.evaluate(
        `[document.body, document.querySelector(".wg .ground")].map((e) => { const s = getComputedStyle(e); return e === document.body ? s.backgroundColor : s.fill; })`,
      ) as Promise<string[]>;
    const light = await colours();
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await colours();
    expect(dark[0]).not.toBe(light[0]);
    expect(dark[1]).not.toBe(light[1]);
    await page.emulateMedia({ colorScheme: "dark", media: "print" });
    expect((await colours())[1]).toBe(light[1]);
    await page.emulateMedia({ colorScheme: "light", media: "screen" });
  });

  it("logs nothing and asks for nothing", () => {
    expect(wrong).toEqual([]);
  });
});
