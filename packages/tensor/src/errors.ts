/**
 * Errors of the engine. Each has a stable `code`, a message that names the operation, what was found and the way out,
 * and never needs a stack trace to be understood.
 */

/** Base class of every error the engine throws on purpose. */
export class WgradError extends Error {
  /** Stable machine-readable code, for example `E_SHAPE`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Shapes that an operation cannot combine (`E_SHAPE`). */
export class ShapeError extends WgradError {
  constructor(message: string) {
    super("E_SHAPE", message);
  }
}

/** An element type that an operation does not take (`E_DTYPE`). */
export class DtypeError extends WgradError {
  constructor(message: string) {
    super("E_DTYPE", message);
  }
}

/** No adapter, a lost device, or an error that the driver reported (`E_NO_ADAPTER`, `E_DEVICE_LOST`, `E_DEVICE`). */
export class DeviceError extends WgradError {}

/** A request over a limit of the adapter, such as a tensor larger than one storage binding (`E_LIMIT`). */
export class LimitError extends WgradError {
  constructor(message: string) {
    super("E_LIMIT", message);
  }
}

/** A WGSL program that does not compile (`E_KERNEL`): names the kernel, the line and the specialisation. */
export class KernelError extends WgradError {
  constructor(message: string, options?: ErrorOptions) {
    super("E_KERNEL", message, options);
  }
}

/** Misuse of the tape: a second backward, a changed saved tensor, an op without gradient (`E_AUTOGRAD`). */
export class AutogradError extends WgradError {
  constructor(message: string) {
    super("E_AUTOGRAD", message);
  }
}

/** Use of a tensor after its memory went back to the pool (`E_DISPOSED`). */
export class DisposedError extends WgradError {
  constructor(message: string) {
    super("E_DISPOSED", message);
  }
}

/** A loss or gradient that is NaN or infinite (`E_NON_FINITE`). */
export class NonFiniteError extends WgradError {
  constructor(message: string) {
    super("E_NON_FINITE", message);
  }
}

/** An argument outside its range (`E_VALUE`). */
export class ValueError extends WgradError {
  constructor(message: string) {
    super("E_VALUE", message);
  }
}

/** A step that cannot be recorded and replayed (`E_CAPTURE`): says what it did, and the way out. */
export class CaptureError extends WgradError {
  constructor(message: string) {
    super("E_CAPTURE", message);
  }
}
