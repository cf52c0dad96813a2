/** The page that `wgrad profile --html` writes, in a real Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { profilePage } from "@wgrad/tensor/profiler";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sampleProfile } from "../packages/tensor/src/testing/profile.ts";
import { findChromium } from "./browser/chromium.ts";

const executablePath = findChromium();
const why = executablePath ? "" : " (no Chromium found: install it or set CHROMIUM_PATH)";

describe.skipIf(!executablePath)(`the page of a profile${why}`, () => {
  let folder: string;
  let browser: Browser;
  let page: Page;
  const wrong: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "wgrad-page-"));
    writeFileSync(join(folder, "page.html"), profilePage(sampleProfile()));
    browser = await chromium.launch({ executablePath: executablePath!, args: ["--disable-quic"] });
    page = await browser.newPage({ viewport: { width: 1360, height: 900 }, colorScheme: "light" });
    page.on("console", (message) => wrong.push(message.text()));
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith("file:")) wrong.push(`asks for ${request.url()}`);
    });
    await page.goto(pathToFileURL(join(folder, "page.html")).href);
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const trail = () => page.locator(".flame").getAttribute("data-zoom");
  const widthOf = (name: string) =>
    page
      .locator(`.cell[data-name="${name}"]`)
      .first()
      .evaluate(
        (cell) => cell.getBoundingClientRect().width / cell.parentElement!.getBoundingClientRect().width,
      );
  /** Zooming is a movement of a quarter of a second. */
  const settled = () => page.waitForTimeout(400);

  it("zooms into the cell of the flame chart that is clicked, and back", async () => {
    expect(await trail()).toBe("step");
    const before = await widthOf("forward");
    expect(before).toBeLessThan(0.5);
    await page.locator('.cell[data-name="forward"]').click();
    await settled();
    expect(await trail()).toBe("step › forward");
    expect(await widthOf("forward")).toBeGreaterThan(0.99);
    expect(await page.locator('.cell[data-name="backward"]').isVisible()).toBe(false);
    await page.locator('.cell[data-name="ffn"]:visible').first().click();
    await settled();
    expect(await trail()).toBe("step › forward › distilbert › transformer.layer › 0 › ffn");
    await page.locator(".trail button", { hasText: "forward" }).click();
    expect(await trail()).toBe("step › forward");
    await page.keyboard.press("Escape");
    await settled();
    expect(await widthOf("forward")).toBeCloseTo(before, 2);
    await page.locator('.cell[data-name="forward"]').click();
    await page.locator(".reset").click();
    expect(await trail()).toBe("step");
  });

  it("tells what a point of the roofline is", async () => {
    const point = page.locator(".dot").last();
    await point.scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await point.boundingBox())!;
    await page.mouse.move(x + width / 2, y + height / 2);
    const text = await page.locator("#tip.on").textContent();
    expect(text).toMatch(/of the arithmetic peak/);
    expect(text).toMatch(/FLOP a byte/);
  });

  it("draws every point under the roofs' frame", async () => {
    const frame = (await page.locator("svg").boundingBox())!;
    for (const dot of await page.locator(".dot").all()) {
      const { x, y, width, height } = (await dot.boundingBox())!;
      expect(x).toBeGreaterThan(frame.x);
      expect(y).toBeGreaterThan(frame.y);
      expect(x + width).toBeLessThan(frame.x + frame.width);
      expect(y + height).toBeLessThan(frame.y + frame.height);
    }
  });

  it("sorts a table by the heading that is clicked", async () => {
    const table = page.locator("table").nth(1);
    const column = (index: number) =>
      table
        .locator("tbody tr")
        .evaluateAll(
          (rows, at) => rows.map((row) => (row as HTMLTableRowElement).cells[at]!.dataset.value!),
          index,
        );
    const heading = (name: string) => table.locator("th button", { hasText: new RegExp(`^${name}$`) });
    await heading("kernel").click();
    const names = await column(0);
    expect(names).toEqual(names.toSorted((a, b) => a.localeCompare(b, undefined, { numeric: true })));
    await heading("dispatches").click();
    const counts = (await column(5)).map(Number);
    expect(counts).toEqual(counts.toSorted((a, b) => b - a));
    await heading("dispatches").click();
    expect((await column(5)).map(Number)).toEqual(counts.toReversed().toSorted((a, b) => a - b));
  });

  it("turns dark, and fits a phone", async () => {
    const colour = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const light = await colour();
    await page.locator("#theme").click();
    expect(await colour()).not.toBe(light);
    await page.setViewportSize({ width: 390, height: 800 });
    // Wide tables and charts scroll inside their own boxes.
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
  });

  it("logs nothing and asks for nothing", () => {
    expect(wrong).toEqual([]);
  });
});
