import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type DataType, type Field, Table, tableToIPC, type Vector, vectorFromArray } from "apache-arrow";
import { Compression, Table as WasmTable, WriterPropertiesBuilder, writeParquet } from "parquet-wasm";
import { arrowValue } from "./arrow-values.js";
import type { Dataset } from "./dataset.js";
import { DatasetError, reason } from "./errors.js";
import { arrowSchemaOf, ClassLabel, type Feature, Image, Value } from "./features.js";
import { imageBytes, isEncodedImage } from "./images/encoded-image.js";

/** Writes a data set as one Parquet file (snappy), complete or not at all. */
export function writeParquetFile(path: string, dataset: Dataset, rowGroupSize: number): void {
  if (!Number.isInteger(rowGroupSize) || rowGroupSize < 1) {
    throw new DatasetError({
      code: "E_ARGUMENT",
      where: "toParquet",
      message: `rowGroupSize is ${rowGroupSize}.`,
      fix: "It must be a whole number from 1.",
    });
  }
  const bytes = encode(dataset, rowGroupSize);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    const fd = openSync(temporary, "w");
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (cause) {
    removeQuietly(temporary);
    const code = (cause as NodeJS.ErrnoException).code;
    throw new DatasetError({
      code: "E_WRITE",
      where: path,
      message: `the file cannot be written: ${reason(cause)}.`,
      fix:
        code === "ENOSPC"
          ? `The disk is full: ${bytes.length} bytes are needed. What was there before is untouched.`
          : "Check that the folder can be written to. What was there before is untouched.",
      cause,
    });
  }
}

/** The failure that led here is the one to report, not that there is nothing to remove. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Its folder does not exist.
  }
}

function encode(dataset: Dataset, rowGroupSize: number): Uint8Array {
  const schema = arrowSchemaOf(dataset.features);
  const columns: Record<string, Vector> = {};
  for (const field of schema.fields as Field<DataType>[]) {
    const feature = dataset.features[field.name]!;
    const values = Array.from(dataset.column(field.name) as ArrayLike<unknown>, (v) =>
      arrowValue(embedded(v, feature), field.type),
    );
    columns[field.name] = vectorFromArray(values, field.type);
  }
  const ipc = tableToIPC(new Table(schema, columns), "stream");
  const metadata = new Map([["huggingface", schema.metadata.get("huggingface")!]]);
  let properties = new WriterPropertiesBuilder()
    .setCompression(Compression.SNAPPY)
    .setMaxRowGroupSize(rowGroupSize)
    .setKeyValueMetadata(metadata)
    .setCreatedBy("wgrad datasets");
  if (Object.values(dataset.features).some((feature) => feature instanceof Image)) {
    // Pages of about 1 MiB, whatever the row group: the writer looks at their size once in so many values. No two pictures are the
    // same, and they are compressed as they are: left so, each can be read by itself. The writer knows a leaf of a struct by no name,
    // so that this is for all columns, and the plain ones are named.
    properties = properties
      .setWriteBatchSize(16)
      .setDictionaryEnabled(false)
      .setCompression(Compression.UNCOMPRESSED);
    for (const [name, feature] of Object.entries(dataset.features)) {
      if (!(feature instanceof ClassLabel) && !(feature instanceof Value)) continue;
      properties = properties
        .setColumnDictionaryEnabled(name, true)
        .setColumnCompression(name, Compression.SNAPPY);
    }
  }
  return writeParquet(WasmTable.fromIPCStream(ipc), properties.build());
}

/** A picture with its bytes, so that the file that is written stands alone, and a name in place of this machine's path. */
function embedded(value: unknown, feature: Feature): unknown {
  if (!(feature instanceof Image) || !isEncodedImage(value) || value.bytes) return value;
  return { bytes: imageBytes(value), path: value.path === null ? null : basename(value.path) };
}
