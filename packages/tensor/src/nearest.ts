/** The most similar of some names by edit distance, without regard to case and underscores; undefined if there are none. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const plain = (text: string) => text.replace(/[_-]/g, "").toLowerCase();
  const wanted = plain(name);
  let best: { name: string; distance: number } | undefined;
  for (const candidate of names) {
    const distance = editDistance(plain(candidate), wanted);
    if (!best || distance < best.distance) best = { name: candidate, distance };
  }
  return best?.name;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
