// What every program of cross entropy shares: the operands, and how much each class counts in a row.
//   loss of a row = sum_c q[c] (log(sum(exp(x))) - x[c]),  q[c] = w[c] ((1 - s) p[c] + s / C)
// with p the target's probabilities (1 at the class id, 0 elsewhere, unless SOFT), s the label smoothing, w the class
// weights. With NLL the logits are log-probabilities already, and the logarithm is 0.
// Classes of a row stand `inner` apart, so that [N, C, d...] is read where it lies.
struct Params {
  rows: u32, classes: u32, inner: u32,
  x_offset: u32, label_offset: u32, weight_offset: u32, dy_offset: u32,
  ignore_index: i32,
  smoothing: f32,
  nan: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read> labels: array<Label>;
@group(0) @binding(3) var<storage, read> weight: array<W>;

fn place(row: u32, class_id: u32) -> u32 {
  return (row / params.inner * params.classes + class_id) * params.inner + row % params.inner;
}
fn logit(row: u32, class_id: u32) -> f32 { return f32(x[params.x_offset + place(row, class_id)]); }

fn class_weight(class_id: u32) -> f32 {
  if (WEIGHT) { return f32(weight[params.weight_offset + class_id]); }
  return 1.0;
}

fn is_valid(label: i32) -> bool { return label >= 0 && label < i32(params.classes); }

// q[c]; `label` is the class id, not used if SOFT.
fn share(row: u32, class_id: u32, label: i32) -> f32 {
  var p = 0.0;
  if (SOFT) { p = f32(labels[params.label_offset + place(row, class_id)]); } else { p = f32(i32(class_id) == label); }
  return class_weight(class_id) * ((1.0 - params.smoothing) * p + params.smoothing / f32(params.classes));
}

fn label_of(row: u32) -> i32 {
  if (SOFT) { return 0; }
  return i32(labels[params.label_offset + row]);
}
