import type { Verb } from "../verb.js";
export const quickstart: Verb = { define() {} };
