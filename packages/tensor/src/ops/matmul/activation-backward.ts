import { gridFor, type Kernel } from "../../device/kernel.js";
import { Tensor } from "../../tensor.js";
import erf from "../elementwise/erf.wgsl";
import activationSource from "./activation.wgsl";
import source from "./activation-backward.wgsl";
import { type Activation, slopeNumber } from "./product.js";

const kernel: Kernel = { name: "activation.backward", source, snippets: [activationSource, erf] };

/** dy · activation'(x), in the shape and type of x. */
export function activationBackward(activation: Activation, x: Tensor, dy: Tensor): Tensor {
  const [before, gradient] = [x.contiguous(), dy.contiguous()];
  const dx = Tensor.empty(x.device, x.shape, x.dtype);
  x.device.run(kernel, {
    buffers: [before, gradient, dx].map((tensor) => tensor.storage.buffer),
    params: [x.numel, slopeNumber(activation), before.offset, gradient.offset],
    grid: gridFor(x.numel, 256),
    specialisation: { types: { TX: x.dtype, TDY: dy.dtype } },
  });
  return dx;
}
