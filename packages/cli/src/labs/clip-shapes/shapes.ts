/** What can be said of a picture of the shapes data set: four attributes, a number for each combination of them, and captions. */

/** What is drawn in a picture: an index into each list of {@link ATTRIBUTES}. */
export interface Description {
  colour: number;
  form: number;
  size: number;
  position: number;
}

/** The words of each attribute, as captions write them. */
export const ATTRIBUTES = {
  colour: ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"],
  form: ["circle", "square", "triangle", "star", "ring", "cross"],
  size: ["small", "large"],
  position: [
    ...["in the top left", "at the top", "in the top right"],
    ...["on the left", "in the middle", "on the right"],
    ...["in the bottom left", "at the bottom", "in the bottom right"],
  ],
} as const satisfies Record<keyof Description, readonly string[]>;

/** Names of the attributes, in the order in which a description is numbered. */
export const ATTRIBUTE_NAMES = ["colour", "form", "size", "position"] as const;

const COUNTS = ATTRIBUTE_NAMES.map((name) => ATTRIBUTES[name].length);

/** Number of all descriptions: 8 colours × 6 forms × 2 sizes × 9 positions. */
export const NUM_DESCRIPTIONS = COUNTS.reduce((product, count) => product * count, 1);

/** Number of combinations of a colour and a form. */
export const NUM_COMBINATIONS = ATTRIBUTES.colour.length * ATTRIBUTES.form.length;

/** The number of a description, from 0 to {@link NUM_DESCRIPTIONS} - 1; positions of one size follow each other. */
export function numberOf(description: Description): number {
  return ATTRIBUTE_NAMES.reduce((number, name, i) => number * COUNTS[i]! + description[name], 0);
}

/** The description that has a number. */
export function descriptionOf(number: number): Description {
  const digits: number[] = [];
  let rest = number;
  for (const count of [...COUNTS].reverse()) {
    digits.unshift(rest % count);
    rest = Math.floor(rest / count);
  }
  const [colour, form, size, position] = digits as [number, number, number, number];
  return { colour, form, size, position };
}

/** Descriptions that have one colour and form: sizes times positions. */
export const DESCRIPTIONS_PER_COMBINATION = NUM_DESCRIPTIONS / NUM_COMBINATIONS;

/** The number of a description's colour and form, from 0 to {@link NUM_COMBINATIONS} - 1. */
export function combinationOf({ colour, form }: Description): number {
  return colour * ATTRIBUTES.form.length + form;
}

/** Names of the combinations, such as `red circle`, by their numbers. */
export const COMBINATIONS: readonly string[] = ATTRIBUTES.colour.flatMap((colour) =>
  ATTRIBUTES.form.map((form) => `${colour} ${form}`),
);

/**
 * Whether a colour and a form never come together in the training data: one form of each colour, and so one or two colours of each
 * form. Every word is learnt from other combinations.
 */
export function isHeldOut({ colour, form }: Pick<Description, "colour" | "form">): boolean {
  return (colour + form) % 6 === 0;
}

/** The numbers of the descriptions whose colour and form are held out, or of the others. */
export function descriptionsOf(kind: "seen" | "held-out"): number[] {
  return Array.from({ length: NUM_DESCRIPTIONS }, (_, number) => number).filter(
    (number) => isHeldOut(descriptionOf(number)) === (kind === "held-out"),
  );
}

type Words = Record<keyof Description, string>;

const TEMPLATES: readonly ((words: Words) => string)[] = [
  ({ size, colour, form, position }) => `a ${size} ${colour} ${form} ${position}`,
  ({ size, colour, form, position }) => `the ${size} ${colour} ${form} is ${position}`,
  ({ size, colour, form, position }) => `${position} a ${size} ${colour} ${form}`,
];

/** Number of the caption templates. */
export const NUM_TEMPLATES = TEMPLATES.length;

/**
 * What is said of a picture: `a small red circle in the top left`.
 * @param template from 0 to {@link NUM_TEMPLATES} - 1; 0 is the plainest, which zero-shot prompts are made with
 */
export function captionOf(description: Description, template = 0): string {
  const words = Object.fromEntries(
    ATTRIBUTE_NAMES.map((name) => [name, ATTRIBUTES[name][description[name]]!]),
  ) as Words;
  return TEMPLATES[template]!(words);
}

/** The prompts of zero-shot: each description in the plainest words, by its number. */
export function allPrompts(): string[] {
  return Array.from({ length: NUM_DESCRIPTIONS }, (_, number) => captionOf(descriptionOf(number)));
}

/** Every caption that the templates can make: the text that the tokenizer is made from. */
export function allCaptions(): string[] {
  return Array.from({ length: NUM_DESCRIPTIONS * NUM_TEMPLATES }, (_, i) =>
    captionOf(descriptionOf(Math.floor(i / NUM_TEMPLATES)), i % NUM_TEMPLATES),
  );
}
