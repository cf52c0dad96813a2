import { AutoTokenizer } from "@wgrad/models/node";
import type { InspectFlags } from "../commands/inspect.js";
import { hubOptions } from "../hub.js";
import { formatTable } from "../text/table.js";
import { formatCount, type Ui } from "../ui.js";

/** What a tokenizer is, and what it makes of a text. */
export async function inspectTokenizer(
  name: string,
  text: string,
  flags: InspectFlags,
  ui: Ui,
): Promise<void> {
  const tokenizer = await AutoTokenizer.fromPretrained(name, hubOptions(flags.offline, ui));
  const longest = Number.isFinite(tokenizer.modelMaxLength)
    ? formatCount(tokenizer.modelMaxLength)
    : "not said";
  ui.result(
    `${name}: ${tokenizer.tokenizerClass ?? "tokenizer"}, ${formatCount(tokenizer.fullVocabSize)} tokens, longest input ${longest}`,
  );
  ui.result(
    `Special tokens: ${tokenizer.allSpecialTokens.map((token, i) => `${token} ${tokenizer.allSpecialIds[i]}`).join(", ")}`,
  );
  const encoded = text === "" ? null : tokenizer(text, { returnOffsetsMapping: true });
  const rows = (encoded?.inputIds ?? []).map((id, i) => {
    const [begin, end] = encoded!.offsetMapping![i]!;
    return {
      token: tokenizer.convertIdsToTokens(id),
      id,
      begin,
      end,
      text: [...text].slice(begin, end).join(""),
    };
  });
  if (encoded) {
    const cells = rows.map((row) => [row.token, String(row.id), `${row.begin}–${row.end}`, row.text]);
    ui.result(`\n${formatTable(["token", "id", "offsets", "text"], cells, [0, 3])}`);
    ui.result(
      `\n${rows.length} tokens. Decoded: ${tokenizer.decode(encoded.inputIds, { skipSpecialTokens: true })}`,
    );
  }
  ui.document({
    name,
    class: tokenizer.tokenizerClass ?? null,
    vocab_size: tokenizer.fullVocabSize,
    model_max_length: Number.isFinite(tokenizer.modelMaxLength) ? tokenizer.modelMaxLength : null,
    special_tokens: tokenizer.allSpecialTokens,
    ...(encoded
      ? { text, tokens: rows, decoded: tokenizer.decode(encoded.inputIds, { skipSpecialTokens: true }) }
      : {}),
  });
}
