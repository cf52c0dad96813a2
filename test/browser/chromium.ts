/** A page in a headless Chromium whose WebGPU runs on SwiftShader, so that it needs no GPU. */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, delimiter, join } from "node:path";
import { chromium } from "playwright-core";
import { bundleForBrowsers } from "./bundle.ts";
import type * as exported from "./page.ts";

type Exports = typeof exported;
type Name = keyof Exports;

/** The page of a test. */
export interface Page {
  /** Calls an export of `page.ts` in the page. Arguments and result travel as JSON does. */
  call<N extends Name>(name: N, ...args: Parameters<Exports[N]>): Promise<Awaited<ReturnType<Exports[N]>>>;
  close(): Promise<void>;
}

/** CHROMIUM_PATH, which `npm test` sets, else a Chromium or Chrome on the PATH. */
export function findChromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return [
    process.env.CHROMIUM_PATH,
    ...names.flatMap((name) => folders.map((folder) => join(folder, name))),
  ].find((file) => file && existsSync(file));
}

const flags = [
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--use-webgpu-adapter=swiftshader",
  // It has nobody to talk to but the test's own server.
  "--disable-quic",
];

/**
 * Starts Chromium with a new profile and opens a page that has loaded `page.ts`.
 * @param folders what the page sees, such as /ops, by that name
 */
export async function openPage(executablePath: string, folders: Record<string, string>): Promise<Page> {
  const { code } = await bundleForBrowsers('export * from "./page.ts";');
  // WebGPU wants a secure context: 127.0.0.1 is one, a file or about:blank is not.
  const server = createServer(({ url = "/" }, response) => {
    const folder = folders[url.split("/")[1] ?? ""];
    if (folder) {
      const file = join(folder, basename(url));
      response.writeHead(existsSync(file) ? 200 : 404).end(existsSync(file) ? readFileSync(file) : undefined);
    } else if (url === "/page.js") {
      response.writeHead(200, { "content-type": "text/javascript" }).end(code);
    } else {
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>wgrad</title>");
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const browser = await chromium.launch({ executablePath, args: flags });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    call: (name, ...args) =>
      page.evaluate(`import("/page.js").then((page) => page.${name}(...${JSON.stringify(args)}))`),
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
