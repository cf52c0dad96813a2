import { describe, expect, it } from "vitest";
import {
  bytesOf,
  float32View,
  fromFloat32,
  fromInt32,
  headerByteLength,
  parseByteSize,
  parseSafetensorsHeader,
  parseShardIndex,
  planShards,
  readSafetensors,
  type SafetensorsDtype,
  SafetensorsError,
  type TensorView,
  toFloat32,
  toInt32,
  writeSafetensors,
} from "./index.js";

/** A file with this header text and `dataBytes` zero bytes behind it. */
function fileWith(header: string, dataBytes = 0): Uint8Array {
  const json = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

function failure(act: () => unknown): SafetensorsError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(SafetensorsError);
    return error as SafetensorsError;
  }
  throw new Error("expected a SafetensorsError");
}

const entry = (begin: number, end: number, shape = `[${(end - begin) / 4}]`, dtype = "F32") =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe("writing", () => {
  // Header as Python's safetensors 0.8.0 writes it for the same tensors (types in this order, then names by UTF-8 bytes).
  const expected =
    '{"__metadata__":{"format":"pt"},"u64":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},"a.i64":{"dtype":"I64","shape":[3],"data_offsets":[8,32]},"z.f64":{"dtype":"F64","shape":[1],"data_offsets":[32,40]},"empty":{"dtype":"F32","shape":[0,4],"data_offsets":[40,40]},"f32.a":{"dtype":"F32","shape":[],"data_offsets":[40,44]},"f32.b":{"dtype":"F32","shape":[2,3],"data_offsets":[44,68]},"\uffee":{"dtype":"F32","shape":[1],"data_offsets":[68,72]},"\u{1F600}":{"dtype":"F32","shape":[1],"data_offsets":[72,76]},"u32":{"dtype":"U32","shape":[1],"data_offsets":[76,80]},"a.i32":{"dtype":"I32","shape":[1],"data_offsets":[80,84]},"b.bf":{"dtype":"F16","shape":[2],"data_offsets":[84,88]},"u16":{"dtype":"U16","shape":[1],"data_offsets":[88,90]},"i16":{"dtype":"I16","shape":[1],"data_offsets":[90,92]},"i8":{"dtype":"I8","shape":[1],"data_offsets":[92,93]},"u8":{"dtype":"U8","shape":[3],"data_offsets":[93,96]},"bool":{"dtype":"BOOL","shape":[2],"data_offsets":[96,98]}}    ';
  const view = (dtype: SafetensorsDtype, shape: number[], array: ArrayBufferView): TensorView => ({
    dtype,
    shape,
    bytes: bytesOf(array),
  });
  const tensors: Record<string, TensorView> = {
    "\u{1F600}": view("F32", [1], new Float32Array(1)),
    bool: view("BOOL", [2], new Uint8Array([1, 0])),
    "b.bf": view("F16", [2], new Uint16Array(2)),
    "z.f64": view("F64", [1], new Float64Array([1])),
    "a.i64": view("I64", [3], new BigInt64Array([1n, -2n, 2n ** 40n])),
    "a.i32": view("I32", [1], new Int32Array([3])),
    u8: view("U8", [3], new Uint8Array([1, 2, 3])),
    "f32.b": float32View(new Float32Array([0, 1, 2, 3, 4, 5]), [2, 3]),
    "f32.a": float32View(new Float32Array([1.5]), []),
    i16: view("I16", [1], new Int16Array([5])),
    i8: view("I8", [1], new Int8Array([-5])),
    u32: view("U32", [1], new Uint32Array([7])),
    u16: view("U16", [1], new Uint16Array([7])),
    u64: view("U64", [1], new BigUint64Array([9n])),
    empty: float32View(new Float32Array(0), [0, 4]),
    "\uffee": view("F32", [1], new Float32Array(1)),
  };

  it("lays tensors out as the reference does, byte for byte", () => {
    const file = writeSafetensors(tensors);
    const header = new TextEncoder().encode(expected);
    expect(header.length % 8).toBe(0);
    expect(new DataView(file.buffer).getBigUint64(0, true)).toBe(BigInt(header.length));
    expect(new TextDecoder().decode(file.subarray(8, 8 + header.length))).toBe(expected);
    expect(file.length).toBe(8 + header.length + 98);
  });

  it("reads back what it wrote", () => {
    const file = readSafetensors(writeSafetensors(tensors));
    expect(file.metadata).toEqual({ format: "pt" });
    expect(new Set(file.tensors.keys())).toEqual(new Set(Object.keys(tensors)));
    for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
      const got = file.get(name);
      expect([got.dtype, got.shape, [...got.bytes]]).toEqual([dtype, shape, [...bytes]]);
    }
  });

  it("keeps names that look like numbers, and no metadata if none is wanted", () => {
    const one = float32View(new Float32Array([1]), [1]);
    const file = readSafetensors(
      writeSafetensors(
        new Map([
          ["10", one],
          ["9", one],
          ["b", one],
        ]),
        {},
      ),
    );
    expect([...file.tensors.keys()]).toEqual(["10", "9", "b"]);
    expect(file.metadata).toEqual({});
  });

  it("refuses bytes that are not shape × dtype", () => {
    const error = failure(() =>
      writeSafetensors({ w: { dtype: "F32", shape: [2, 3], bytes: new Uint8Array(20) } }),
    );
    expect(error.code).toBe("E_SAFETENSORS_LENGTH");
    expect(error.message).toContain('tensor "w"');
    expect(error.message).toMatch(/\[2, 3\] of F32 takes 24 bytes, got 20/);
  });
});

describe("reading in pieces", () => {
  it("needs only the header, then each tensor's range", () => {
    const file = writeSafetensors({
      a: float32View(new Float32Array([1, 2]), [2]),
      b: float32View(new Float32Array([3]), [1]),
    });
    const end = headerByteLength(file.subarray(0, 8), { fileBytes: file.length });
    const header = parseSafetensorsHeader(file.subarray(0, end), { fileBytes: file.length });
    const { begin, end: last, dtype, shape } = header.tensors.get("b")!;
    expect([...toFloat32({ dtype, shape, bytes: file.slice(begin, last) })]).toEqual([3]);
    expect(header.fileBytes).toBe(file.length);
  });
});

describe("damaged files", () => {
  const good = writeSafetensors({ "layer.weight": float32View(new Float32Array(64), [8, 8]) });
  const cases: [what: string, bytes: Uint8Array, code: string, says: RegExp][] = [
    ["empty", new Uint8Array(0), "E_SAFETENSORS_TRUNCATED", /0 bytes.*download/],
    ["seven bytes", good.subarray(0, 7), "E_SAFETENSORS_TRUNCATED", /7 bytes/],
    ["cut inside the header", good.subarray(0, 40), "E_SAFETENSORS_TRUNCATED", /the file has 40 bytes/],
    [
      "cut inside the data",
      good.subarray(0, good.length - 10),
      "E_SAFETENSORS_TRUNCATED",
      /layer\.weight.*10 are missing.*download/,
    ],
    ["bytes behind the end", new Uint8Array([...good, 0]), "E_SAFETENSORS_OFFSETS", /goes on to byte/],
    [
      "another kind of file",
      new TextEncoder().encode("PK\u0003\u0004 this is a zip archive"),
      "E_SAFETENSORS_HEADER",
      /zip archive/,
    ],
    [
      "a Git LFS pointer",
      new TextEncoder().encode("version https://git-lfs"),
      "E_SAFETENSORS_HEADER",
      /git lfs pull/,
    ],
    [
      "header over 100 MB",
      new Uint8Array([1, 225, 245, 5, 0, 0, 0, 0, 123]),
      "E_SAFETENSORS_HEADER",
      /100000001 bytes/,
    ],
    ["no brace", fileWith(" {}"), "E_SAFETENSORS_HEADER", /does not start/],
    ["no JSON", fileWith('{"a": '), "E_SAFETENSORS_HEADER", /not JSON/],
    ["not UTF-8", new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, 123, 255, 125]), "E_SAFETENSORS_HEADER", /UTF-8/],
    [
      "metadata that is no string",
      fileWith('{"__metadata__":{"n":1}}'),
      "E_SAFETENSORS_HEADER",
      /__metadata__\.n/,
    ],
    ["entry that is no object", fileWith('{"a":1}'), "E_SAFETENSORS_HEADER", /a is not a JSON object/],
    [
      "name twice",
      fileWith(`{"a":${entry(0, 4)},"b":${entry(4, 8)},"a":${entry(0, 4)}}`, 8),
      "E_SAFETENSORS_HEADER",
      /tensor "a".*twice/,
    ],
    [
      "unknown dtype",
      fileWith(`{"a":${entry(0, 4, "[4]", "F8_E4M3")}}`, 4),
      "E_SAFETENSORS_DTYPE",
      /"F8_E4M3".*known are/,
    ],
    [
      "inherited name as dtype",
      fileWith(`{"a":${entry(0, 4, "[4]", "toString")}}`, 4),
      "E_SAFETENSORS_DTYPE",
      /toString/,
    ],
    ["negative size", fileWith(`{"a":${entry(0, 4, "[-1]")}}`, 4), "E_SAFETENSORS_HEADER", /shape \[-1\]/],
    [
      "fractional offset",
      fileWith('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.5]}}', 2),
      "E_SAFETENSORS_HEADER",
      /data_offsets/,
    ],
    [
      "length mismatch",
      fileWith(`{"a":${entry(0, 8, "[3]")}}`, 8),
      "E_SAFETENSORS_LENGTH",
      /takes 12 bytes.*hold 8/,
    ],
    ["end before begin", fileWith(`{"a":${entry(8, 0, "[2]")}}`, 8), "E_SAFETENSORS_LENGTH", /hold -8/],
    [
      "overlap",
      fileWith(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12),
      "E_SAFETENSORS_OFFSETS",
      /tensor "b": starts at.*overlaps "a"/,
    ],
    [
      "hole",
      fileWith(`{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12),
      "E_SAFETENSORS_OFFSETS",
      /tensor "b".*hole after "a"/,
    ],
    [
      "hole at the start",
      fileWith(`{"a":${entry(4, 8)}}`, 8),
      "E_SAFETENSORS_OFFSETS",
      /hole after the header/,
    ],
  ];
  it.each(cases)("%s", (_, bytes, code, says) => {
    const error = failure(() => readSafetensors(bytes, { file: "model.safetensors" }));
    expect(error.message).toMatch(says);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^model\.safetensors: /);
    expect(error.file).toBe("model.safetensors");
  });

  it("a missing tensor, with names that are alike", () => {
    const error = failure(() => readSafetensors(good).get("encoder.layer.weight"));
    expect(error.code).toBe("E_SAFETENSORS_NAME");
    expect(error.message).toContain('There is "layer.weight"');
  });
});

describe("conversions", () => {
  /** float64 to half by search over all halfs: slow, plainly right, ties to even. */
  const halfValues = Array.from({ length: 0x7c00 }, (_, h) => {
    const e = h >>> 10;
    return e === 0 ? (h & 1023) * 2 ** -24 : (1 + (h & 1023) / 1024) * 2 ** (e - 15);
  });
  function nearestHalf(value: number): number {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    const v = Math.abs(value);
    if (v >= 65520) return sign | 0x7c00;
    let low = 0;
    let high = 0x7bff;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (halfValues[middle]! <= v) low = middle;
      else high = middle - 1;
    }
    if (low === 0x7bff) return sign | low;
    const down = v - halfValues[low]!;
    const up = halfValues[low + 1]! - v;
    return sign | (down < up || (down === up && (low & 1) === 0) ? low : low + 1);
  }

  it("reads every half and writes it back", () => {
    const halfs = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const floats = toFloat32({ dtype: "F16", shape: [65536], bytes: bytesOf(halfs) });
    for (let h = 0; h < 0x7c00; h++) expect(floats[h]).toBe(halfValues[h]);
    expect([floats[0x7c00], floats[0xfc00], floats[0x8000]]).toEqual([Infinity, -Infinity, -0]);
    expect(floats.filter(Number.isNaN).length).toBe(2 * 1023);
    const back = new Uint16Array(fromFloat32(floats, "F16").buffer);
    for (let h = 0; h < 65536; h++) {
      if (!Number.isNaN(floats[h])) expect(back[h]).toBe(h);
      else expect((back[h]! & 0x7c00) === 0x7c00 && (back[h]! & 0x3ff) !== 0).toBe(true);
    }
  });

  it("rounds to the nearest half, ties to even", () => {
    const values = [
      0,
      -0,
      1,
      65504,
      65519.99,
      65520,
      1e9,
      -1e9,
      2 ** -25,
      1.5 * 2 ** -24,
      2 ** -24,
      2 ** -26,
      6.1e-5,
      -3e-8,
    ];
    for (let h = 0; h < 0x7bff; h += 7) {
      const middle = (halfValues[h]! + halfValues[h + 1]!) / 2;
      values.push(middle, -middle, middle * (1 + 2 ** -20), middle * (1 - 2 ** -20));
    }
    const floats = new Float32Array(values);
    const got = new Uint16Array(fromFloat32(floats, "F16").buffer);
    for (const [i, value] of floats.entries()) expect([value, got[i]]).toEqual([value, nearestHalf(value)]);
  });

  it("rounds to bfloat16, ties to even, and keeps NaN", () => {
    const bits = new Uint32Array([
      0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0x7f800001, 0xffffffff, 0x80000000, 1,
    ]);
    const got = [...new Uint16Array(fromFloat32(new Float32Array(bits.buffer), "BF16").buffer)];
    expect(got).toEqual([0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f80, 0x7fc0, 0xffff, 0x8000, 0]);
    expect([
      ...toFloat32({ dtype: "BF16", shape: [2], bytes: new Uint8Array([0x80, 0x3f, 0x80, 0xff]) }),
    ]).toEqual([1, -Infinity]);
  });

  it("reads tensors that do not lie aligned", () => {
    const bytes = new Uint8Array(9);
    bytes.set(bytesOf(new Float32Array([1.5, -2])), 1);
    expect([...toFloat32({ dtype: "F32", shape: [2], bytes: bytes.subarray(1) })]).toEqual([1.5, -2]);
  });

  it("int64 to int32 and back, with a check of the range", () => {
    const values = new Int32Array([0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]);
    const bytes = fromInt32(values);
    expect([...new BigInt64Array(bytes.buffer)]).toEqual([0n, 1n, -1n, 2n ** 31n - 1n, -(2n ** 31n)]);
    expect(toInt32({ dtype: "I64", shape: [5], bytes })).toEqual(values);
    for (const value of [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 32n, -(2n ** 62n)]) {
      const error = failure(() =>
        toInt32({ dtype: "I64", shape: [2], bytes: bytesOf(new BigInt64Array([3n, value])) }),
      );
      expect(error.code).toBe("E_SAFETENSORS_RANGE");
      expect(error.message).toContain(`element 1 of I64 is ${value},`);
    }
    for (const value of [2n ** 31n, 2n ** 64n - 1n]) {
      const error = failure(() =>
        toInt32({ dtype: "U64", shape: [1], bytes: bytesOf(new BigUint64Array([value])) }),
      );
      expect(error.message).toContain(`is ${value},`);
    }
    expect(
      failure(() => toInt32({ dtype: "U32", shape: [1], bytes: bytesOf(new Uint32Array([2 ** 31])) })).code,
    ).toBe("E_SAFETENSORS_RANGE");
    expect(failure(() => toInt32(float32View(new Float32Array(1), [1]))).code).toBe("E_SAFETENSORS_DTYPE");
    expect(failure(() => toFloat32({ dtype: "I64", shape: [0], bytes: new Uint8Array(0) })).code).toBe(
      "E_SAFETENSORS_DTYPE",
    );
  });
});

describe("shards", () => {
  it("reads sizes", () => {
    expect(["5GB", "200mb", "1.5GiB", " 10 KB ", "7", 12].map(parseByteSize)).toEqual([
      5e9,
      2e8,
      1.5 * 2 ** 30,
      1e4,
      7,
      12,
    ]);
    for (const size of ["", "5XB", "GB", "-1GB", 0, Number.NaN])
      expect(failure(() => parseByteSize(size)).code).toBe("E_SAFETENSORS_INDEX");
  });

  it("keeps one file while everything fits", () => {
    const { shards, index } = planShards(
      [
        { name: "a", bytes: 60 },
        { name: "b", bytes: 40 },
      ],
      100,
    );
    expect(index).toBeUndefined();
    expect(shards).toEqual([{ file: "model.safetensors", names: ["a", "b"], bytes: 100 }]);
  });

  it("closes a file before it grows too large; a larger tensor stands alone", () => {
    const sizes = { e: 60, a: 50, big: 500, c: 40, d: 70 };
    const { shards, index } = planShards(
      Object.entries(sizes).map(([name, bytes]) => ({ name, bytes })),
      100,
    );
    expect(shards.map(({ names }) => names)).toEqual([["e"], ["big"], ["a", "c"], ["d"]]);
    expect(shards[1]!.file).toBe("model-00002-of-00004.safetensors");
    expect(index!.metadata).toEqual({ total_size: 720 });
    expect(Object.keys(index!.weight_map)).toEqual(["a", "big", "c", "d", "e"]);
    expect(parseShardIndex(JSON.stringify(index))).toEqual(index);
  });

  it("refuses an index that cannot be used", () => {
    for (const text of [
      "{",
      "null",
      "{}",
      '{"weight_map":{}}',
      '{"weight_map":{"a":"../x"}}',
      '{"weight_map":{"a":3}}',
    ]) {
      expect(failure(() => parseShardIndex(text, "i.json")).code).toBe("E_SAFETENSORS_INDEX");
    }
  });
});
