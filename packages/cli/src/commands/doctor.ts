import type { Verb } from "../verb.js";
export const doctor: Verb = { define() {} };
