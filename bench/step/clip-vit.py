"""The torch side of clip-vit.mjs: one LoRA step of CLIP ViT-B/16 with weights, adapters and inputs by the rule.

    python3 clip-vit.py < request.json

The request names the rank, scaling, targets, batch and learning rate, and for each case the scale of every B; the answer is one line
of JSON: for each case the loss, the norm of each adapter's gradient, the loss after one step of AdamW, and the processor time.
"""

import json
import sys
import time

import numpy as np
import peft
import torch
import transformers


def rule(name, count):
    """Numbers in [-1, 1): lowbias32 of the index plus FNV-1a of the name."""
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    x = np.arange(count, dtype=np.uint32) + np.uint32(h)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float64) - 8388608) / 8388608


def weights(name, shape):
    count = int(np.prod(shape))
    if name == "logit_scale":
        values = np.full(count, 2.6592)
    elif "norm" in name.lower() and name.endswith("weight"):
        values = 1 + 0.1 * rule(name, count)
    else:
        values = (0.02 if name.endswith("bias") else 0.05) * rule(name, count)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def main():
    request = json.load(sys.stdin)
    torch.set_num_threads(request["threads"])
    config = transformers.CLIPConfig(**request["config"])
    with torch.device("meta"):
        model = transformers.CLIPModel(config)
    model = model.to_empty(device="cpu").eval()
    state = {name: weights(name, tuple(p.shape)) for name, p in model.named_parameters()}
    model.load_state_dict(state, strict=False)
    for tower in (model.text_model, model.vision_model):
        ids = tower.embeddings.position_ids
        ids.copy_(torch.arange(ids.shape[-1]).reshape(ids.shape))
    adapted = peft.get_peft_model(
        model,
        peft.LoraConfig(r=request["r"], lora_alpha=request["alpha"], target_modules=request["targets"], lora_dropout=0.0),
    )
    rows = torch.tensor(request["input_ids"])
    shape = request["pixel_shape"]
    pixels = (2 * rule("pixel_values", int(np.prod(shape)))).astype(np.float32).reshape(shape)
    inputs = {
        "input_ids": rows,
        "attention_mask": torch.tensor(request["attention_mask"]),
        "pixel_values": torch.from_numpy(pixels),
        "return_loss": True,
    }
    cases = []
    for scale in request["b_scales"]:
        named = peft.get_peft_model_state_dict(adapted)
        made = {
            key: torch.from_numpy(((0.05 if "lora_A" in key else scale) * rule(key, p.numel())).astype(np.float32).reshape(p.shape))
            for key, p in named.items()
        }
        peft.set_peft_model_state_dict(adapted, made)
        trained = [p for p in adapted.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=request["lr"], weight_decay=0.01)
        began = time.process_time()
        output = adapted(**inputs)
        output.loss.backward()
        norms = {
            name.replace(".default", ""): float(p.grad.norm()) for name, p in adapted.named_parameters() if p.requires_grad
        }
        optimizer.step()
        optimizer.zero_grad()
        cpu = time.process_time() - began
        with torch.no_grad():
            after = float(adapted(**inputs).loss)
        cases.append(
            {
                "loss": float(output.loss),
                "logits": output.logits_per_image.detach().flatten().tolist(),
                "norms": norms,
                "after": after,
                "cpu": cpu,
            }
        )
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    print(json.dumps({"cases": cases, "versions": versions, "trainable": sum(p.numel() for p in trained)}))


main()
