import { Field, Int32, Int64, List, Schema, Utf8 } from "apache-arrow";
import { expect, test } from "vitest";
import {
  ClassLabel,
  featuresFromSchema,
  featuresToMetadata,
  inferFeature,
  Sequence,
  Value,
} from "./features.js";

test("ClassLabel goes from names to numbers and back", () => {
  const label = new ClassLabel(["neg", "pos"]);
  expect(label.numClasses).toBe(2);
  expect(label.int2str(1)).toBe("pos");
  expect(label.str2int("neg")).toBe(0);
  expect(() => label.int2str(2)).toThrow("label 2 is outside 0 … 1 (neg, pos)");
  expect(() => label.int2str(-1)).toThrow(/outside/);
  expect(() => label.str2int("po")).toThrow('Did you mean "pos"?');
});

test("features come from the huggingface metadata, else from the Arrow types", () => {
  const schema = new Schema([
    new Field("text", new Utf8(), true),
    new Field("label", new Int64(), true),
    new Field("ids", new List(new Field("element", new Int32(), true)), true),
  ]);
  expect(featuresFromSchema(schema, undefined)).toEqual({
    text: new Value("string"),
    label: new Value("int64"),
    ids: new Sequence(new Value("int32")),
  });
  const metadata =
    '{"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}, "ids": {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"}}}}';
  const features = featuresFromSchema(schema, metadata);
  expect(features.label).toEqual(new ClassLabel(["a", "b"]));
  expect(features.ids).toEqual(new Sequence(new Value("int32")));
  expect(featuresFromSchema(schema, featuresToMetadata(features))).toEqual(features);
  expect(featuresFromSchema(schema, "not JSON").label).toEqual(new Value("int64"));
});

test("features are found from values", () => {
  expect(inferFeature([1, 2], "x")).toEqual(new Value("int64"));
  expect(inferFeature([1, null, 2.5], "x")).toEqual(new Value("float64"));
  expect(inferFeature([null, "a"], "x")).toEqual(new Value("string"));
  expect(inferFeature([new Int32Array(2)], "x")).toEqual(new Sequence(new Value("int32")));
  expect(inferFeature([[], ["a"]], "x")).toEqual(new Sequence(new Value("string")));
  expect(inferFeature([{ a: 1, b: true }], "x")).toEqual({ a: new Value("int64"), b: new Value("bool") });
  expect(() => inferFeature([() => 1], "x")).toThrow("a function cannot be stored");
});
