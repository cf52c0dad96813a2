/** The data and the answers as pictures: sheets to look at, files for other tools. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ClassLabel, Dataset, DatasetDict, Image, permutation, Value } from "@wgrad/datasets";
import { encodePng } from "@wgrad/image/node";
import { writeFileAtomic } from "@wgrad/models/node";
import { embedPictures, type GridCell, pictureGrid } from "../../report/picture-grid.js";
import { writePictures } from "../../runs/run-folder.js";
import type { Pictures, ShapeRow, ShapesDataset } from "./dataset.js";
import { ATTRIBUTE_NAMES, ATTRIBUTES, captionOf, descriptionOf } from "./shapes.js";
import { answersOf } from "./zero-shot.js";

/** Pictures of a sheet. */
const SHOWN = 40;
const COLUMNS = 8;

/** Some rows, drawn with a seed. */
function someOf<T>(rows: readonly T[], count: number, seed: number): T[] {
  return Array.from(permutation(rows.length, seed).subarray(0, count), (i) => rows[i]!);
}

/** A sheet of training pictures with their captions, as a PNG. */
export function drawExamples(
  rows: readonly ShapeRow[],
  pictures: Pictures,
  seed: number,
): Promise<Uint8Array> {
  const cells = someOf(rows, SHOWN, seed).map((row) => ({ image: pictures.of(row), lines: [row.caption] }));
  return pictureGrid({ title: "Drawn shapes with their captions", cells, columns: COLUMNS }).png();
}

/**
 * Writes the answers to some pictures: `pictures.png`, `pictures.html`, and `pictures.json` for the report.
 * @param logits [rows, prompts]
 */
export async function drawAnswers(
  folder: string,
  logits: Float32Array,
  rows: readonly ShapeRow[],
  pictures: Pictures,
): Promise<{ png: string; html: string }> {
  const answers = answersOf(logits, rows);
  const cells = someOf(answers, SHOWN, pictures.seed).map(
    ({ row, nearest, probability, isRight }): GridCell => {
      const answer = `${captionOf(descriptionOf(nearest))} ${Math.round(probability * 100)}%`;
      const truth = `true: ${captionOf(descriptionOf(row.description))}`;
      return { image: pictures.of(row), lines: isRight ? [answer] : [answer, truth], right: isRight };
    },
  );
  const right = answers.filter(({ isRight }) => isRight).length;
  const title = "Colours and forms never seen together";
  const subtitle = `Right in everything: ${right} of ${answers.length} pictures. Here are ${cells.length}, drawn at random`;
  const grid = pictureGrid({ title, subtitle, cells, columns: COLUMNS });
  const [png, html] = [join(folder, "pictures.png"), join(folder, "pictures.html")];
  await writeFileAtomic(png, await grid.png());
  await writeFileAtomic(html, await grid.html());
  await writePictures(folder, {
    split: "test",
    title: `${title}. ${subtitle}.`,
    pictures: await embedPictures(cells),
  });
  return { png, html };
}

/** Writes three of the rows as PNG files, to try other commands with. @returns a question for the first */
export async function saveSome(
  folder: string,
  rows: readonly ShapeRow[],
  pictures: Pictures,
): Promise<{ picture: string; template: string; labels: string }> {
  const place = join(folder, "held-out");
  await mkdir(place, { recursive: true });
  const paths: string[] = [];
  for (const row of rows.slice(0, 3)) {
    const path = join(place, `${captionOf(descriptionOf(row.description)).replaceAll(" ", "-")}.png`);
    await writeFileAtomic(path, await encodePng(pictures.of(row)));
    paths.push(path);
  }
  const { colour, form, size, position } = descriptionOf(rows[0]!.description);
  const { colour: colours, form: forms } = ATTRIBUTES;
  const others = [1, 2].map((step) => `${colours[colour]} ${forms[(form + step) % forms.length]}`);
  const another = `${colours[(colour + 3) % colours.length]} ${forms[form]}`;
  return {
    picture: paths[0]!,
    template: `a ${ATTRIBUTES.size[size]} {} ${ATTRIBUTES.position[position]}`,
    labels: [others[0], `${colours[colour]} ${forms[form]}`, others[1], another].join(","),
  };
}

/**
 * Writes all splits as Parquet in Hugging Face's schema: `image`, `caption`, and a ClassLabel for each attribute.
 * @returns the folder
 */
export async function saveDataset(folder: string, data: ShapesDataset, pictures: Pictures): Promise<string> {
  const features = {
    image: new Image(),
    caption: new Value("string"),
    ...Object.fromEntries(ATTRIBUTE_NAMES.map((name) => [name, new ClassLabel(ATTRIBUTES[name])])),
  };
  const splits: Record<string, Dataset> = {};
  for (const [split, rows] of Object.entries(data) as [string, ShapeRow[]][]) {
    const images = await Promise.all(rows.map((row) => encodePng(pictures.of(row))));
    splits[split] = Dataset.fromList(
      rows.map((row, i) => ({
        image: { bytes: images[i]!, path: `${row.picture}.png` },
        caption: row.caption,
        ...descriptionOf(row.description),
      })),
      features,
    );
  }
  new DatasetDict(splits).toParquet(folder);
  return folder;
}
