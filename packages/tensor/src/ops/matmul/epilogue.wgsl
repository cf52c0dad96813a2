// What becomes of a sum before it is stored: `params.epilogue` says which of these, so that one program serves them all.
// C is what is computed with, f32 or vec4<f32>; Y what `y` and `extra` hold, TY or vec4<TY>. ACTIVATIONS is false where the
// program is made for products that need none of them. SCALES makes y = sum · params.scale, in a program of its own: one more number
// here cost all products 10 to 15% on llvmpipe, whose compiler spills other registers then.
@group(0) @binding(5) var<storage, read> extra: array<Y>;

const ADDEND = 1u;            // y = sum + extra: a residual, or a gradient gathered so far
const GELU = 2u;              // y = gelu(sum); the sum itself may be stored too, for backward
const QUICK_GELU = 3u;
const RELU = 4u;
const GELU_BACKWARD = 5u;     // y = sum · gelu'(extra), where extra is the sum that went into gelu
const QUICK_GELU_BACKWARD = 6u;
const RELU_BACKWARD = 7u;

fn finished(at: u32, column: u32, sum: C) -> C {
  if (SCALES) { return sum * params.scale; }
  let kind = params.epilogue;
  if (kind == 0u) { return sum; }
  if (kind == ADDEND) { return sum + extra_at(at, column); }
  if (ACTIVATIONS) {
    if (kind <= RELU) {
      keep_before(at, column, sum);
      return activated(kind, sum);
    }
    return sum * slope(kind, extra_at(at, column));
  }
  return sum;
}
