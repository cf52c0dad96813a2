/** Arguments of `transformers.TrainingArguments` that this trainer does not have, and why. */

/** What becomes of an argument of Python's. */
export interface ForeignArgument {
  /** Whether it is an error where it is switched on; else it is left out. */
  readonly refused: boolean;
  /** One sentence. */
  readonly reason: string;
}

const PROCESSES = "training runs on one device in one process.";
const HUB = "nothing is uploaded.";
const PYTHON = "it steers Python's own loading, compiling or printing.";
const MEMORY = "memory is managed by the engine.";

const IGNORED: Readonly<Record<string, string>> = {
  local_rank: PROCESSES,
  ddp_backend: PROCESSES,
  ddp_find_unused_parameters: PROCESSES,
  ddp_bucket_cap_mb: PROCESSES,
  ddp_broadcast_buffers: PROCESSES,
  ddp_static_graph: PROCESSES,
  ddp_timeout: PROCESSES,
  average_tokens_across_devices: PROCESSES,
  log_on_each_node: PROCESSES,
  save_on_each_node: PROCESSES,
  log_level_replica: PROCESSES,
  accelerator_config: PROCESSES,
  parallelism_config: PROCESSES,
  eval_use_gather_object: PROCESSES,
  hub_model_id: HUB,
  hub_strategy: HUB,
  hub_token: HUB,
  hub_private_repo: HUB,
  hub_always_push: HUB,
  hub_revision: HUB,
  project: HUB,
  trackio_space_id: HUB,
  trackio_bucket_id: HUB,
  trackio_static_space_id: HUB,
  dataloader_pin_memory: PYTHON,
  dataloader_persistent_workers: PYTHON,
  dataloader_multiprocessing_context: PYTHON,
  dataloader_in_order: PYTHON,
  remove_unused_columns: "the collator takes the columns that it needs.",
  label_names: "labels are what the collator calls labels.",
  disable_tqdm: PYTHON,
  log_level: PYTHON,
  debug: PYTHON,
  skip_memory_metrics: PYTHON,
  do_train: PYTHON,
  do_eval: PYTHON,
  do_predict: PYTHON,
  tf32: PYTHON,
  use_cpu: "the device is the model's.",
  no_cuda: "the device is the model's.",
  torch_compile_backend: PYTHON,
  torch_compile_mode: PYTHON,
  torch_empty_cache_steps: MEMORY,
  eval_accumulation_steps: MEMORY,
  eval_do_concat_batches: "predictions of all batches are always put together.",
  gradient_checkpointing_kwargs: "there is one way to recompute.",
  activation_checkpointing_kwargs: "there is one way to recompute.",
  fsdp_config: PROCESSES,
  liger_kernel_config: PYTHON,
  optim_target_modules: "no optimizer here takes it.",
  use_cache: "only generating models use it.",
  logging_nan_inf_filter: "a loss that is not finite ends the run; the checkpoints before it are intact.",
  full_determinism: "the same seed always gives the same bits on the same adapter.",
  restore_callback_states_from_checkpoint: "the state of callbacks is always restored.",
  enable_jit_checkpoint: "Ctrl-C and requestStop always write a checkpoint.",
  overwrite_output_dir: "the trainer itself never removes an earlier run.",
  adafactor: 'write optim: "adafactor".',
};

const REFUSED: Readonly<Record<string, string>> = {
  bf16: "WebGPU has no bf16. Use fp16: true, or f32.",
  bf16_full_eval: "WebGPU has no bf16. Evaluation runs in the precision of the training.",
  fp16_full_eval: "weights stay f32; fp16: true evaluates in f16 too.",
  torch_compile: "steps are captured instead: capture: true, the default.",
  use_liger_kernel: "kernels are chosen by wgrad kernels.",
  deepspeed: PROCESSES,
  fsdp: PROCESSES,
  push_to_hub: `${HUB} Upload the folder with Python's huggingface_hub.`,
  neftune_noise_alpha: "noise on embeddings is not there. Override computeLoss for it.",
  auto_find_batch_size: "give perDeviceTrainBatchSize, and gradientAccumulationSteps where memory is short.",
  batch_eval_metrics:
    "computeMetrics gets all predictions at once; preprocessLogitsForMetrics makes them small.",
  activation_checkpointing: "write gradient_checkpointing: true.",
};

/** What becomes of an argument of Python's that this trainer does not have; undefined for a name that Python has not either. */
export function foreignArgument(name: string): ForeignArgument | undefined {
  const ignored = IGNORED[name];
  if (ignored !== undefined) return { refused: false, reason: ignored };
  const refused = REFUSED[name];
  return refused === undefined ? undefined : { refused: true, reason: refused };
}
