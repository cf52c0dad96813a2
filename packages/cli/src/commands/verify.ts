import type { Verb } from "../verb.js";
export const verify: Verb = { define() {} };
