"""What is built on PyTorch: transformers, with the batches that its users write, and sentence-transformers."""

import numpy as np
import torch
from PIL import Image

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def opened(paths):
    return [Image.open(path).convert("RGB") for path in paths]


class Transformers:
    def __init__(self, args):
        from transformers import AutoImageProcessor, AutoModel

        torch.set_num_threads(args.threads)
        torch.set_grad_enabled(False)
        self.dtype = DTYPES[args.dtype]
        self.device = args.device
        # A GPU is as hungry as several processes can feed it.
        self.workers = 1 if self.device == "cpu" else args.threads
        self.model = AutoModel.from_pretrained(args.model, dtype=self.dtype).eval().to(self.device)
        self.processor = AutoImageProcessor.from_pretrained(args.model)
        size = self.processor.crop_size if getattr(self.processor, "do_center_crop", False) else self.processor.size
        self.side = size["height"]
        # Vectors of an image, of models that know texts too; else the class token's, as the model pools it.
        forward = getattr(self.model, "get_image_features", self.model.forward)
        self.forward = torch.compile(forward) if args.compile else forward

    def pixels(self, batch):
        return torch.from_numpy(batch).to(self.dtype)

    def prepare(self, paths):
        return self.processor(images=opened(paths), return_tensors="pt")["pixel_values"].to(self.dtype)

    def ahead(self, batches):
        """Batches that processes beside this one prepare."""
        prepare = self.processor, self.dtype

        class Prepared(torch.utils.data.Dataset):
            def __len__(self):
                return len(batches)

            def __getitem__(self, i):
                processor, dtype = prepare
                return processor(images=opened(batches[i]), return_tensors="pt")["pixel_values"].to(dtype)

        return torch.utils.data.DataLoader(Prepared(), batch_size=None, num_workers=self.workers)

    def run(self, pixels):
        with torch.inference_mode():
            given = self.forward(pixel_values=pixels.to(self.device))
        return (given if torch.is_tensor(given) else given.pooler_output).float().cpu().numpy()


class SentenceTransformers:
    def __init__(self, args):
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(args.threads)
        self.batch = args.batch
        self.model = SentenceTransformer(str(args.model), device=args.device, model_kwargs={"dtype": DTYPES[args.dtype]})
        for module in self.model:
            # A model that knows no texts: the class token's vector, as the others take it, and not the mean.
            if hasattr(module, "pooling_mode"):
                module.pooling_mode = "cls"

    def embed(self, paths):
        batches = [paths[i : i + self.batch] for i in range(0, len(paths), self.batch)]
        return np.concatenate([self.model.encode(opened(b), batch_size=self.batch).astype(np.float32) for b in batches])
