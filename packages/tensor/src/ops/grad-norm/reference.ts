/**
 * Norm of many gradients as one vector and the coefficient that clips it, in float64, as `torch.nn.utils.clip_grad_norm_`.
 * @param scale the gradients are those of a loss times it
 */
export function clipReference(
  gradients: readonly ArrayLike<number>[],
  maxNorm: number,
  scale = 1,
): { norm: number; coefficient: number } {
  let total = 0;
  for (const gradient of gradients) for (let i = 0; i < gradient.length; i++) total += gradient[i]! ** 2;
  const norm = Math.sqrt(total) / scale;
  return { norm, coefficient: Math.min(1, maxNorm / (norm + 1e-6)) / scale };
}
