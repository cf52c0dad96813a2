import { ClassLabel, Dataset, DatasetDict, Generator, permutation, Value } from "@wgrad/datasets";
import {
  adjectives,
  aspects,
  functionWords,
  intensifiers,
  nouns,
  openers,
  type PolarWords,
  verbs,
  works,
} from "./words.js";

/** 0 negative, 1 positive: the label, and the index into each pair of word lists. */
export type Polarity = 0 | 1;

/** One row of the data set. */
export interface SentimentRow {
  text: string;
  label: number;
}

/** Sizes and seed of {@link writeSentimentDataset}. */
export interface SentimentOptions {
  /** Default 42. */
  seed?: number;
  /** Rows; default 6000. */
  train?: number;
  /** Rows; default 600. */
  validation?: number;
  /** Rows; default 800. */
  test?: number;
}

/** Names of the labels. */
export const sentimentLabels = ["neg", "pos"] as const;

type Rule = (p: Polarity, draw: Draw) => string;

/** Draws from lists; every choice is the generator's, so one seed gives one data set. */
class Draw {
  readonly #generator: Generator;
  constructor(seed: number) {
    this.#generator = new Generator(seed, 1);
  }
  from<T>(list: readonly T[]): T {
    return list[this.#generator.nextBelow(list.length)]!;
  }
  word(words: PolarWords, p: Polarity): string {
    return this.from(words[p]);
  }
  adjective(p: Polarity): string {
    return this.word(adjectives, p);
  }
  aspect(): string {
    return `the ${this.from(aspects)}`;
  }
  /** True once in `n`. */
  once(n: number): boolean {
    return this.#generator.nextBelow(n) === 0;
  }
  weighted(rules: readonly (readonly [weight: number, rule: Rule])[]): Rule {
    let rest = this.#generator.nextBelow(rules.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, rule] of rules) {
      rest -= weight;
      if (rest < 0) return rule;
    }
    return rules[0]![1];
  }
}

const other = (p: Polarity): Polarity => (p === 1 ? 0 : 1);
const withArticle = (word: string): string => `${/^[aeiou]/.test(word) ? "an" : "a"} ${word}`;

/** Said straight: the polar word has the clause's polarity. */
const straightClauses: readonly (readonly [number, Rule])[] = [
  [4, (p, d) => `${d.aspect()} is ${d.adjective(p)}`],
  [4, (p, d) => `${d.aspect()} is ${d.from(intensifiers)} ${d.adjective(p)}`],
  [2, (p, d) => `${d.aspect()} always ${d.word(verbs, p)}`],
  [2, (p, d) => `${d.aspect()} is full of ${d.word(nouns, p)}`],
  [1, (p, d) => `${d.aspect()} is more ${d.adjective(p)} than usual`],
];

/** Said by denying the opposite: the polar word has the other polarity. */
const negatedClauses: readonly (readonly [number, Rule])[] = [
  [4, (p, d) => `${d.aspect()} is not ${d.adjective(other(p))}`],
  [3, (p, d) => `${d.aspect()} is not ${d.from(intensifiers)} ${d.adjective(other(p))}`],
  [2, (p, d) => `${d.aspect()} is never ${d.adjective(other(p))}`],
  [2, (p, d) => `${d.aspect()} is anything but ${d.adjective(other(p))}`],
  [2, (p, d) => `${d.aspect()} never ${d.word(verbs, other(p))}`],
  [2, (p, d) => `${d.aspect()} has no ${d.word(nouns, other(p))}`],
  [2, (p, d) => `nobody could call ${d.aspect()} ${d.adjective(other(p))}`],
  [2, (p, d) => `${d.aspect()} is less ${d.adjective(other(p))} than usual`],
];

/** Two denials: the polar word has the clause's polarity again. */
const twiceNegatedClauses: readonly (readonly [number, Rule])[] = [
  [1, (p, d) => `${d.aspect()} is not without ${d.word(nouns, p)}`],
  [1, (p, d) => `${d.aspect()} is never less than ${d.adjective(p)}`],
];

const straight: Rule = (p, d) => d.weighted(straightClauses)(p, d);

const clause: Rule = (p, d) =>
  d.weighted([
    [15, straight],
    [4, (q, e) => e.weighted(negatedClauses)(q, e)],
    [1, (q, e) => e.weighted(twiceNegatedClauses)(q, e)],
  ])(p, d);

/** Sentences of two clauses: which of them counts is told by the word between them. */
const contrasts: readonly (readonly [number, Rule])[] = [
  [3, (p, d) => `${straight(other(p), d)} , but ${clause(p, d)}`],
  [2, (p, d) => `although ${straight(other(p), d)} , ${clause(p, d)}`],
  [2, (p, d) => `${clause(p, d)} , although ${straight(other(p), d)}`],
  [1, (p, d) => `despite the ${d.adjective(other(p))} ${d.from(aspects)} , ${clause(p, d)}`],
  [1, (p, d) => `${clause(p, d)} , despite the ${d.adjective(other(p))} ${d.from(aspects)}`],
];

/** Sentences whose clauses agree, two of them with the words of a denial or a contrast that is none. */
const agreements: readonly (readonly [number, Rule])[] = [
  [2, (p, d) => `${clause(p, d)} and ${clause(p, d)}`],
  [2, (p, d) => `not only is ${d.aspect()} ${d.adjective(p)} , but ${d.aspect()} is ${d.adjective(p)} too`],
  [
    1,
    (p, d) =>
      `i expected ${withArticle(d.adjective(other(p)))} ${d.from(works)} but got ${withArticle(d.adjective(p))} one`,
  ],
];

const sentence: Rule = (p, d) => {
  const kind = d.weighted([
    [12, clause],
    [4, (q, e) => e.weighted(contrasts)(q, e)],
    [4, (q, e) => e.weighted(agreements)(q, e)],
  ]);
  const body = kind(p, d);
  const opener = d.once(4) ? `${d.from(openers)} , ` : "";
  const setting = d.once(6) ? ` in this ${d.from(works)}` : "";
  return `${opener}${body}${setting} .`;
};

/**
 * The embedded sentiment data set: sentences that a grammar makes from a seed, half of them negative. A sentence's label
 * follows from its words and their order (so a perfect classifier exists), but hardly from which words it has: a polar
 * word is denied ("is not dull", "nobody could call …"), denied twice ("is not without charm"), outweighed by the
 * clause that counts ("although …", "…, but …") or stressed, equally often in both classes. No sentence comes twice.
 * @returns splits train, validation, test; columns `text` (string) and `label` (ClassLabel neg, pos)
 */
export function makeSentimentDataset(options: SentimentOptions = {}): DatasetDict<SentimentRow> {
  const seed = options.seed ?? 42;
  const sizes = {
    train: options.train ?? 6000,
    validation: options.validation ?? 600,
    test: options.test ?? 800,
  };
  const draw = new Draw(seed);
  const seen = new Set<string>();
  const splits = Object.entries(sizes).map(([split, size], k) => {
    const rows: SentimentRow[] = [];
    while (rows.length < size) {
      const label = (rows.length % 2) as Polarity;
      const text = sentence(label, draw);
      if (seen.has(text)) continue;
      seen.add(text);
      rows.push({ text, label });
    }
    const mixed = Array.from(permutation(size, seed, 2 + k), (i) => rows[i]!);
    const features = { text: new Value("string"), label: new ClassLabel(sentimentLabels) };
    return [split, Dataset.fromList(mixed, features)] as const;
  });
  return new DatasetDict<SentimentRow>(Object.fromEntries(splits), "the embedded sentiment data set");
}

/** Writes {@link makeSentimentDataset} as `train.parquet`, `validation.parquet` and `test.parquet` into a folder. */
export function writeSentimentDataset(
  folder: string,
  options: SentimentOptions = {},
): DatasetDict<SentimentRow> {
  const dataset = makeSentimentDataset(options);
  dataset.toParquet(folder);
  return dataset;
}

/** Every word and sign that the grammar can write, sorted. */
export function grammarVocabulary(): string[] {
  const listed = [adjectives, nouns, verbs].flatMap(([negative, positive]) => [...negative, ...positive]);
  const neutral = [...aspects, ...works, ...intensifiers, ...openers.flatMap((opener) => opener.split(" "))];
  return [...new Set([...listed, ...neutral, ...functionWords])].sort();
}
