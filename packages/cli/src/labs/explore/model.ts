/** What a model is like: its parameters, and what it makes of a text. */
import type { DistilBertModel } from "@wgrad/models";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { noGrad, scope, Tensor } from "@wgrad/tensor";
import { formatTable } from "../../text/table.js";
import { formatBytes, formatCount } from "../../ui.js";

/** Values of the vector to print. */
const SHOWN = 8;

/**
 * Tokenizes a text, decodes it again, and runs it through the encoder. Prints it, and gives it back for `--json`.
 * @param maxLength tokens at which it is cut
 */
export async function exploreText(
  model: DistilBertModel,
  tokenizer: PreTrainedTokenizer,
  text: string,
  maxLength: number,
  print: (text: string) => void,
) {
  const ids = tokenizer.encode(text, { truncation: true, maxLength });
  const tokens = ids.map((id) => tokenizer.convertIdsToTokens(id));
  const decoded = tokenizer.decode(ids);
  const decodedWithoutSpecial = tokenizer.decode(ids, { skipSpecialTokens: true });
  const hidden = noGrad(() =>
    scope(() => {
      const inputIds = Tensor.from(model.device, Int32Array.from(ids), [1, ids.length]);
      return model.forward({ inputIds }).lastHiddenState.select(1, 0);
    }),
  );
  const vector = Array.from((await hidden.toArray()) as Float32Array);
  hidden.dispose();
  const norm = Math.hypot(...vector);
  const mean = vector.reduce((a, b) => a + b, 0) / vector.length;
  const shown = vector.slice(0, SHOWN).map((x) => x.toFixed(4));
  print(
    [
      `\nAn example: ${text}`,
      `  tokens (${ids.length}): ${tokens.join(" ")}`,
      `  input ids: ${ids.join(" ")}`,
      `  decoded: ${decoded}`,
      `  without special tokens: ${decodedWithoutSpecial}`,
      `  hidden states: [1, ${ids.length}, ${vector.length}]; the vector of [CLS] is the first of them:`,
      `  [${shown.join(", ")}${vector.length > SHOWN ? ", …" : ""}]`,
      `  norm ${norm.toFixed(4)}, mean ${mean.toFixed(4)}`,
    ].join("\n"),
  );
  return {
    text,
    tokens,
    input_ids: ids,
    decoded,
    decoded_without_special_tokens: decodedWithoutSpecial,
    cls: { vector, norm, mean },
  };
}

/** Prints the parameters by name and shape and how many lie in each part, and gives it back for `--json`. */
export function exploreParameters(model: DistilBertModel, name: string, print: (text: string) => void) {
  const parameters = [...model.namedParameters()].map(([key, p]) => ({
    name: key,
    shape: [...p.shape],
    count: p.numel,
  }));
  const total = model.numParameters();
  const modules = new Map<string, { parameters: number; count: number }>();
  for (const { name: key, count } of parameters) {
    const part = partOf(key);
    const sum = modules.get(part) ?? { parameters: 0, count: 0 };
    modules.set(part, { parameters: sum.parameters + 1, count: sum.count + count });
  }
  print(
    `\nParameters of ${name}:\n${formatTable(
      ["parameter", "shape", "values"],
      parameters.map((p) => [p.name, `[${p.shape.join(", ")}]`, formatCount(p.count)]),
      [0, 1],
    )}`,
  );
  print(
    `\n${formatTable(
      ["module", "parameters", "values", "share"],
      [...modules].map(([part, sum]) => [
        part,
        String(sum.parameters),
        formatCount(sum.count),
        `${((100 * sum.count) / total).toFixed(1)}%`,
      ]),
    )}`,
  );
  print(
    `\n${formatCount(total)} values in ${parameters.length} parameters, ${formatBytes(total * 4)} as f32`,
  );
  return {
    parameters,
    modules: [...modules].map(([module, sum]) => ({ module, ...sum })),
    total,
  };
}

/** `transformer.layer.0.ffn.lin1.weight` → `transformer.layer.0`; `embeddings.LayerNorm.bias` → `embeddings` */
function partOf(name: string): string {
  return /^[^.]+\.layer\.\d+/.exec(name)?.[0] ?? name.split(".")[0]!;
}
