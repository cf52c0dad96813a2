import { DtypeError } from "../errors.js";
import type { Tensor } from "../tensor.js";

let current: "f16" | null = null;

/**
 * Runs `body`, a forward pass and its loss, in mixed precision, as `torch.autocast`: parameters stay f32 (the master weights),
 * activations are f16, sums are f32.
 *
 * It works by where activations begin: `embedding`, `linear` (and `linears`, `linearActivation`, `feedForward`) and `conv2d` give
 * f16 results also for f32 inputs. All other operations follow the type of their inputs: attention, layer norm, GELU, dropout
 * and additions go on in f16 (each computes in f32 inside), and the losses give f32. A sum of an f16 and an f32 tensor is f32:
 * bring a parameter that is added or joined to activations to their type (`p.to(x.dtype)`). The gradient of each parameter is
 * f32, as the parameter is. Small gradients vanish in f16: multiply the loss by a scale, see `GradScaler`.
 *
 * Backward may run inside or outside; types were settled by forward. `body` must be synchronous.
 * @param dtype `"f16"`, or null for full precision inside of an outer `autocast`
 * @throws DtypeError, from the first such operation, on a device without `shader-f16`
 */
export function autocast<T>(dtype: "f16" | null, body: () => T): T {
  const before = current;
  current = dtype;
  try {
    const result = body();
    if (result instanceof Promise)
      throw new TypeError(
        "autocast takes a synchronous function: return the tensors and read them after it.",
      );
    return result;
  } finally {
    current = before;
  }
}

/** The type in which activations begin now; null for that of what they are computed from. */
export function autocastDtype(): "f16" | null {
  return current;
}

/**
 * The type that an operation where activations begin gives for f32 operands: f16 inside `autocast`, else null.
 * @throws DtypeError on a device without `shader-f16`
 */
export function loweredDtype(device: Tensor["device"]): "f16" | null {
  if (current && !device.features.has("shader-f16")) {
    throw new DtypeError(
      `autocast: the adapter ${device.description} cannot compute in f16 (it lacks shader-f16). Train in f32.`,
    );
  }
  return current;
}

/** The tensor as `autocast` has it begin: f16 inside if it is f32, else itself. */
export function lowered(x: Tensor): Tensor {
  return x.dtype === "f32" && loweredDtype(x.device) ? x.to("f16") : x;
}
