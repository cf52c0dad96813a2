import type { Dataset } from "../dataset.js";
import { Image } from "../features.js";
import { imageBytes, isEncodedImage } from "./encoded-image.js";
import { isGreyscale } from "./image-header.js";

/**
 * The rows whose picture has colours, as its file's header says: what Pillow opens in the modes L, LA, 1 and I;16 is left out. Rows
 * without a picture stay, and so do pictures whose header cannot be read: decoding them tells what is wrong.
 * @param column default: the first column of pictures; a data set without one stays as it is
 * @throws DatasetError E_COLUMN_UNKNOWN; E_FILE_READ for a file that is gone
 */
export function withoutGreyscale<R extends object>(dataset: Dataset<R>, column?: string): Dataset<R> {
  const name = column ?? dataset.columnNames.find((one) => dataset.features[one] instanceof Image);
  if (name === undefined) return dataset;
  return dataset.filter(
    (row) => {
      const image = (row as Record<string, unknown>)[name];
      return !isEncodedImage(image) || !isGreyscale(imageBytes(image));
    },
    { inputColumns: [name] },
  );
}
