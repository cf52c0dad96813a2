import { untrack } from "../autograd/modes.js";
import { isFloating } from "../dtype.js";
import { Tensor } from "../tensor.js";

/** A tensor that a `Module` owns and an optimizer changes, as `torch.nn.Parameter`. Lives outside of scopes. */
export class Parameter extends Tensor {
  /** Takes over the memory of `data`, whose own handle is disposed. */
  constructor(data: Tensor, requiresGrad = true) {
    super(data.storage, data.shape, data.strides, data.offset, data.dtype);
    untrack(this);
    data.dispose();
    this.requiresGrad = requiresGrad && isFloating(this.dtype);
  }
}
