import { InvalidArgumentError } from "commander";

/** Parser of a flag that takes a whole number from `minimum` on. */
export function wholeNumber(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isInteger(value) || value < minimum) {
      throw new InvalidArgumentError(`expected a whole number from ${minimum} on.`);
    }
    return value;
  };
}
