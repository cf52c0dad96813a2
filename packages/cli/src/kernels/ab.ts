import type { Ui } from "../ui.js";
export async function runAb(_a: string, _b: string, _flags: object, _ui: Ui): Promise<void> {}
