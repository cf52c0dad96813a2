/**
 * The words of the quickstart's grammar. Every pair of lists (positive, negative) is used in the same places and equally
 * often, and the neutral words in both classes alike: what a sentence means is in how they are put together.
 */

/** A word list for each polarity: index 0 negative, 1 positive. */
export type PolarWords = readonly [negative: readonly string[], positive: readonly string[]];

const split = (words: string): string[] => words.trim().split(/\s+/);

export const adjectives: PolarWords = [
  split(`awful bad bland boring clumsy confusing dreadful dull empty flat forced lazy messy pointless
    predictable shallow silly sloppy stale tedious terrible ugly weak wooden`),
  split(`brilliant charming clever delightful elegant fresh funny good gorgeous great gripping honest inventive
    moving polished sharp smart stunning superb thrilling touching warm witty wonderful`),
];

export const nouns: PolarWords = [
  split("boredom cliches confusion flaws nonsense noise padding mistakes"),
  split("charm energy grace heart imagination talent tension wit"),
];

/** Verbs an aspect is the subject of. */
export const verbs: PolarWords = [
  split("bores disappoints drags fails irritates stumbles"),
  split("convinces delights impresses shines succeeds works"),
];

export const aspects =
  split(`acting camerawork cast dialogue direction editing ending finale humor lighting music
  narration opening pacing performance plot premise romance scenery score script staging story suspense`);

export const works = split(
  "adaptation comedy debut documentary drama film movie musical picture remake sequel thriller",
);

export const intensifiers = split("very truly really quite remarkably deeply rather thoroughly");

export const openers = [
  ...["honestly", "frankly", "overall", "once again", "to my surprise", "in the end", "as expected"],
  ...["from start to finish", "for most of its length", "after the first hour"],
];

/** The words and signs the rules themselves write. */
export const functionWords =
  split(`, . a although always an and anything but call could despite expected full got
  has i in is less more never no nobody not of one only than the this too usual without`);
