"""The other side of python.test.ts: loads what wgrad saved, and saves what wgrad shall load.

usage: python interop.py FOLDER

FOLDER/input.json names the folders to load and the token ids to run; FOLDER/output.json gets the answers.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

folder = sys.argv[1]
with open(os.path.join(folder, "input.json"), encoding="utf-8") as file:
    given = json.load(file)
ids = torch.tensor(given["input_ids"])
mask = torch.tensor(given["attention_mask"])
answers = {}


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask).logits.flatten().tolist()


def base():
    return AutoModelForSequenceClassification.from_pretrained(given["base"])


def load(name, body):
    """An answer, or why there is none."""
    try:
        answers[name] = body()
    except Exception as error:  # told to the test, which fails with it
        answers[name] = {"error": f"{type(error).__name__}: {error}"}


load("tokenizer", lambda: AutoTokenizer.from_pretrained(given["base"])(given["texts"], given["pairs"], truncation=True)["input_ids"])
load("full", lambda: logits(AutoModelForSequenceClassification.from_pretrained(given["full"])))
for name, adapter in given["adapters"].items():
    load(name, lambda adapter=adapter: logits(PeftModel.from_pretrained(base(), adapter)))
for name, stored in given["fixtures"].items():
    load(
        name,
        lambda stored=stored: logits(
            PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(stored["base"]), stored["adapter"])
        ),
    )


def save_adapter(place, **settings):
    torch.manual_seed(3)
    # Other values than PEFT starts with, where the adapter changes nothing.
    model = get_peft_model(base(), LoraConfig(task_type="SEQ_CLS", init_lora_weights=False, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(place)
    return logits(model)


def save_full(place):
    torch.manual_seed(4)
    config = DistilBertConfig(
        vocab_size=64, dim=32, hidden_dim=48, n_heads=4, n_layers=2, max_position_embeddings=32, num_labels=3
    )
    model = DistilBertForSequenceClassification(config)
    model.save_pretrained(place)
    return logits(model)


load(
    "python-lora",
    lambda: save_adapter(os.path.join(folder, "python-lora"), r=4, lora_alpha=8, target_modules=["q_lin", "v_lin"]),
)
load(
    "python-rslora",
    lambda: save_adapter(
        os.path.join(folder, "python-rslora"), r=2, lora_alpha=3, use_rslora=True, target_modules=["q_lin", "lin1", "lin2"], bias="lora_only"
    ),
)
load("python-full", lambda: save_full(os.path.join(folder, "python-full")))

import peft
import transformers

answers["versions"] = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
with open(os.path.join(folder, "output.json"), "w", encoding="utf-8") as file:
    json.dump(answers, file)
