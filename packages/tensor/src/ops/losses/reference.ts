/** Loss and gradients of one element of binary cross entropy with logits. */
export function bceReference(
  x: number,
  z: number,
  posWeight: number,
  weight: number,
): { loss: number; dx: number; dz: number } {
  // log(sigmoid(v)), exact for large |v|.
  const logSigmoid = (v: number) => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v)));
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  return {
    loss: -weight * (posWeight * z * logSigmoid(x) + (1 - z) * logSigmoid(-x)),
    dx: weight * ((1 - z) * sigmoid(x) - posWeight * z * sigmoid(-x)),
    dz: weight * (logSigmoid(-x) - posWeight * logSigmoid(x)),
  };
}
