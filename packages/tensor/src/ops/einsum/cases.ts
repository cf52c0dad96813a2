/** Equations that einsum is checked with, and the shapes of their operands. */
export const einsumCases: readonly {
  equation: string;
  shapes: readonly (readonly number[])[];
  note: string;
}[] = [
  {
    equation: "bhqd,bhkd->bhqk",
    shapes: [
      [2, 3, 5, 4],
      [2, 3, 7, 4],
    ],
    note: "attention scores",
  },
  {
    equation: "ij,jk",
    shapes: [
      [3, 4],
      [4, 5],
    ],
    note: "implicit output",
  },
  { equation: "ba", shapes: [[3, 4]], note: "implicit output is alphabetical: a transposition" },
  { equation: "i,j->ij", shapes: [[5], [3]], note: "outer product" },
  {
    equation: "ij,ij->ij",
    shapes: [
      [3, 4],
      [3, 4],
    ],
    note: "elementwise product",
  },
  { equation: "ii->i", shapes: [[4, 4]], note: "diagonal" },
  { equation: "ii", shapes: [[4, 4]], note: "trace" },
  { equation: "aiai->ia", shapes: [[2, 3, 2, 3]], note: "two diagonals" },
  { equation: "iii->i", shapes: [[3, 3, 3]], note: "diagonal of a cube" },
  { equation: "bij->b", shapes: [[2, 3, 4]], note: "sums" },
  { equation: "ij->", shapes: [[3, 4]], note: "sum of everything" },
  { equation: "ij,k->jk", shapes: [[3, 4], [5]], note: "a letter of one operand only is summed first" },
  {
    equation: "ij,jk,kl->il",
    shapes: [
      [2, 3],
      [3, 4],
      [4, 5],
    ],
    note: "a chain of three",
  },
  {
    equation: "bn,anm,bm->ba",
    shapes: [
      [2, 3],
      [4, 3, 5],
      [2, 5],
    ],
    note: "bilinear",
  },
  {
    equation: "...ij,...jk->...ik",
    shapes: [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
    note: "ellipsis that broadcasts",
  },
  { equation: "i...->...", shapes: [[3, 4, 2]], note: "ellipsis in the output, first dimension summed" },
  {
    equation: "ij,ji->",
    shapes: [
      [3, 4],
      [4, 3],
    ],
    note: "inner product of matrices",
  },
  {
    equation: "ij,jk->ik",
    shapes: [
      [3, 1],
      [4, 5],
    ],
    note: "a size of 1 broadcasts",
  },
  { equation: " a b , b -> a ", shapes: [[3, 4], [4]], note: "spaces" },
];
