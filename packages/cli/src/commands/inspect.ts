import type { Verb } from "../verb.js";
export const inspect: Verb = { define() {} };
