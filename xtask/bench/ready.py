"""Makes of a checkpoint what the peers want beside it, once; nothing of it is measured.

    python xtask/bench/ready.py --model CHECKPOINT --out FOLDER

FOLDER/checkpoint has the checkpoint's files and a tokenizer, without which Daft and sentence-transformers load no model
that knows texts, though they are given images. FOLDER/graphs has the image tower as model.onnx, exported by PyTorch,
and model-int8.onnx, quantised by ONNX Runtime with its dynamic way.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel


def tokenizer(folder, kind):
    """One that knows letters; nobody gives it any."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    start, end = "<|startoftext|>", "<|endoftext|>"
    words = {word: i for i, word in enumerate([start, end, "<unk>", *"abcdefghijklmnopqrstuvwxyz"])}
    named = {"bos_token": start, "eos_token": end, "unk_token": "<unk>", "pad_token": end}
    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(words, [], unk_token="<unk>")), **named)
    plain.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**named, "tokenizer_class": kind, "model_max_length": 64}))


def graphs(model, folder):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folder.mkdir(parents=True, exist_ok=True)
    processor = AutoImageProcessor.from_pretrained(model)
    side = (processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size)["height"]
    network = AutoModel.from_pretrained(model, dtype=torch.float32).eval()

    class Tower(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, pixel_values):
            given = getattr(network, "get_image_features", network.forward)(pixel_values=pixel_values)
            return given if torch.is_tensor(given) else given.pooler_output

    file = folder / "model.onnx"
    images = torch.export.Dim("images", min=1, max=4096)
    with torch.no_grad():
        torch.onnx.export(
            Tower().eval(),
            (torch.zeros(2, 3, side, side),),
            str(file),
            input_names=["pixel_values"],
            output_names=["image_vectors"],
            dynamic_shapes={"pixel_values": {0: images}},
            dynamo=True,
            external_data=False,
        )
    shaped = folder / "shaped.onnx"
    quant_pre_process(file, shaped, skip_symbolic_shape=True)
    quantize_dynamic(shaped, folder / "model-int8.onnx", weight_type=QuantType.QInt8, per_channel=True)
    shaped.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--no-graphs", action="store_true")
    args = parser.parse_args()
    checkpoint = args.out / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    for file in args.model.iterdir():
        link = checkpoint / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve())
    kind = AutoConfig.from_pretrained(args.model).model_type
    if kind in ("clip", "siglip"):
        tokenizer(checkpoint, {"clip": "CLIPTokenizerFast", "siglip": "PreTrainedTokenizerFast"}[kind])
    if not args.no_graphs:
        graphs(checkpoint, args.out / "graphs")


if __name__ == "__main__":
    main()
