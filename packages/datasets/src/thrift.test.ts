import { expect, test } from "vitest";
import { readThrift, type ThriftStruct, ThriftType, writeThrift } from "./thrift.js";

const sample: ThriftStruct = new Map([
  [1, { type: ThriftType.i32, value: -3 }],
  [2, { type: ThriftType.i64, value: 2 ** 40 + 1 }],
  [3, { type: ThriftType.binary, value: Uint8Array.of(1, 2, 255) }],
  [4, { type: ThriftType.true, value: true }],
  [5, { type: ThriftType.true, value: false }],
  [
    6,
    {
      type: ThriftType.list,
      value: { elementType: ThriftType.i32, values: Array.from({ length: 40 }, (_, i) => i - 20) },
    },
  ],
  [7, { type: ThriftType.double, value: -1.5 }],
  [
    40,
    {
      type: ThriftType.struct,
      value: new Map([[2, { type: ThriftType.byte, value: -1 }]]) as ThriftStruct,
    },
  ],
]);

test("what is written is read back", () => {
  const back = readThrift(writeThrift(sample));
  expect([...back.keys()]).toEqual([...sample.keys()]);
  for (const [id, field] of sample) expect(back.get(id)?.value).toEqual(field.value);
});

test("bytes that end early or make no sense are an error, not a hang", () => {
  const bytes = writeThrift(sample);
  for (let n = 0; n < bytes.length; n++) expect(() => readThrift(bytes.subarray(0, n))).toThrow(RangeError);
  expect(() => readThrift(Uint8Array.of(0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f))).toThrow(/counts/);
  expect(() => readThrift(Uint8Array.of(0x1e))).toThrow(/unknown type/);
});
