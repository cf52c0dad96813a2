import type { Device } from "../device/device.js";
import { conv2d } from "../ops/conv2d/index.js";
import { Tensor } from "../tensor.js";
import { kaimingUniform_, uniform_ } from "./init.js";
import { Module, shouldInitialise } from "./module.js";
import { Parameter } from "./parameter.js";

/** Options of `Conv2d`; a number stands for both directions. */
export interface Conv2dOptions {
  stride?: number | readonly [number, number];
  padding?: number | readonly [number, number];
  dilation?: number | readonly [number, number];
  groups?: number;
  bias?: boolean;
}

const pair = (value: number | readonly [number, number]): readonly [number, number] =>
  typeof value === "number" ? [value, value] : value;

/** 2-d convolution, as `torch.nn.Conv2d`: x [N, inChannels, H, W] → [N, outChannels, H', W']. */
export class Conv2d extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  /** [outChannels, inChannels / groups, kernel height, kernel width] */
  weight: Parameter;
  bias: Parameter | null;

  constructor(
    device: Device,
    inChannels: number,
    outChannels: number,
    kernelSize: number | readonly [number, number],
    options: Conv2dOptions = {},
  ) {
    super();
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = pair(kernelSize);
    this.stride = pair(options.stride ?? 1);
    this.padding = pair(options.padding ?? 0);
    this.dilation = pair(options.dilation ?? 1);
    this.groups = options.groups ?? 1;
    this.weight = new Parameter(
      Tensor.empty(device, [outChannels, inChannels / this.groups, ...this.kernelSize]),
    );
    this.bias = (options.bias ?? true) ? new Parameter(Tensor.empty(device, [outChannels])) : null;
    if (shouldInitialise()) {
      kaimingUniform_(this.weight, { a: Math.sqrt(5) });
      const bound = 1 / Math.sqrt((inChannels / this.groups) * this.kernelSize[0] * this.kernelSize[1]);
      if (this.bias) uniform_(this.bias, -bound, bound);
    }
  }

  forward(x: Tensor): Tensor {
    const { stride, padding, dilation, groups } = this;
    return conv2d(x, this.weight, this.bias, { stride, padding, dilation, groups });
  }

  override extraRepr(): string {
    const tuple = (v: readonly number[]) => `(${v.join(", ")})`;
    return `${this.inChannels}, ${this.outChannels}, kernel_size=${tuple(this.kernelSize)}, stride=${tuple(this.stride)}`;
  }
}
