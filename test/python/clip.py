"""The other side of python-clip.test.ts: CLIP's models, processors and adapters, loaded as wgrad saved them, and saved for wgrad.

usage: python clip.py FOLDER

FOLDER/input.json names folders, pictures and texts; FOLDER/output.json gets the answers.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from PIL import Image, ImageOps
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
)

folder = sys.argv[1]
with open(os.path.join(folder, "input.json"), encoding="utf-8") as file:
    given = json.load(file)
ids = torch.tensor(given["input_ids"])
mask = torch.tensor(given["attention_mask"])
pixels = torch.tensor(given["pixel_values"]).reshape(given["pixel_shape"])
answers = {}


def place(name):
    return os.path.join(folder, name)


def numbers(tensor):
    return tensor.detach().flatten().tolist()


def pairs(model):
    """Logits and embeddings of a whole CLIP."""
    model.eval()
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, pixel_values=pixels)
    return [*numbers(out.logits_per_image), *numbers(out.text_embeds), *numbers(out.image_embeds)]


def of_texts(model_class, name, output):
    with torch.no_grad():
        return numbers(getattr(model_class.from_pretrained(place(name)).eval()(input_ids=ids, attention_mask=mask), output))


def of_pictures(model_class, name, output):
    with torch.no_grad():
        return numbers(getattr(model_class.from_pretrained(place(name)).eval()(pixel_values=pixels), output))


def classified(name):
    """As the docstring of CLIPForClassification says."""
    tower = CLIPVisionModel.from_pretrained(place(name)).eval()
    weights = load_file(os.path.join(place(name), "model.safetensors"))
    classifier = torch.nn.Linear(*reversed(weights["classifier.weight"].shape))
    classifier.load_state_dict({key: weights[f"classifier.{key}"] for key in ("weight", "bias")})
    with torch.no_grad():
        return numbers(classifier(tower(pixel_values=pixels).pooler_output))


def opened():
    """Pictures as `datasets` opens them: transparent ones stay so, and the processor lays them on white."""
    return [ImageOps.exif_transpose(Image.open(path)) for path in given["files"]]


def processed(processor):
    pictures = opened()
    out = processor(text=given["texts"], images=pictures, padding=True, truncation=True, return_tensors="pt")
    return {
        "input_ids": out["input_ids"].tolist(),
        "attention_mask": out["attention_mask"].tolist(),
        "pixel_values": numbers(out["pixel_values"]),
    }


def load(name, body):
    """An answer, or why there is none."""
    try:
        answers[name] = body()
    except Exception as error:  # told to the test, which fails with it
        answers[name] = {"error": f"{type(error).__name__}: {error}"}


load("model", lambda: pairs(CLIPModel.from_pretrained(place("model"))))
load("text", lambda: of_texts(CLIPTextModel, "text", "pooler_output"))
load("vision", lambda: of_pictures(CLIPVisionModel, "vision", "pooler_output"))
load("text-projected", lambda: of_texts(CLIPTextModelWithProjection, "text-projected", "text_embeds"))
load("vision-projected", lambda: of_pictures(CLIPVisionModelWithProjection, "vision-projected", "image_embeds"))
load("classes", lambda: of_pictures(AutoModelForImageClassification, "classes", "logits"))
load("by-hand", lambda: classified("by-hand"))
for name in given["adapters"]:
    load(name, lambda name=name: pairs(PeftModel.from_pretrained(CLIPModel.from_pretrained(place("model")), place(name))))
load("processor", lambda: processed(CLIPProcessor.from_pretrained(place("model"))))
load(
    "image-processor",
    lambda: numbers(
        torch.as_tensor(
            AutoImageProcessor.from_pretrained(place("model"))(opened(), return_tensors="pt")["pixel_values"]
        )
    ),
)


def save(model, name, answer):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(place(name))
    return answer(model)


def save_adapter(name, **settings):
    model = get_peft_model(CLIPModel.from_pretrained(place("model")), LoraConfig(init_lora_weights=False, **settings))
    model.save_pretrained(place(name))
    return pairs(model)


def save_processor(name):
    processor = CLIPProcessor.from_pretrained(place("model"))
    processor.save_pretrained(place(name))
    return processed(processor)


with open(os.path.join(place("model"), "config.json"), encoding="utf-8") as file:
    config = CLIPConfig(**json.load(file))
torch.manual_seed(3)
load("python-model", lambda: save(CLIPModel(config), "python-model", pairs))
load(
    "python-text-projected",
    lambda: save(
        CLIPTextModelWithProjection(config.text_config),
        "python-text-projected",
        lambda model: numbers(model(input_ids=ids, attention_mask=mask).text_embeds),
    ),
)
load(
    "python-vision",
    lambda: save(CLIPVisionModel(config.vision_config), "python-vision", lambda model: numbers(model(pixel_values=pixels).pooler_output)),
)
load(
    "python-vision-projected",
    lambda: save(
        CLIPVisionModelWithProjection(config.vision_config),
        "python-vision-projected",
        lambda model: numbers(model(pixel_values=pixels).image_embeds),
    ),
)
load("python-lora", lambda: save_adapter("python-lora", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
load("python-dora", lambda: save_adapter("python-dora", r=2, lora_alpha=3, use_dora=True, target_modules=["k_proj", "out_proj", "fc1"]))
load("python-processor", lambda: save_processor("python-processor"))

with open(place("output.json"), "w", encoding="utf-8") as file:
    json.dump(answers, file)
