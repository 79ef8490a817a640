"""What runs an ONNX graph: ONNX Runtime and OpenVINO. Files are prepared with PIL and numpy, without PyTorch."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image


class Prepared:
    """What a `preprocessor_config.json` of CLIP, SigLIP or DINOv2 says."""

    def __init__(self, args):
        config = json.loads((args.model / "preprocessor_config.json").read_text())
        size, crop = config["size"], config.get("crop_size", config["size"])
        self.shortest, self.side = size.get("shortest_edge"), crop["height"]
        self.resample = config["resample"]
        self.scale = np.float32(config["rescale_factor"]) / np.array(config["image_std"], np.float32)
        self.shift = np.array(config["image_mean"], np.float32) / np.array(config["image_std"], np.float32)

    def prepare(self, paths):
        pixels = np.stack([self.image(path) for path in paths])
        return np.ascontiguousarray((pixels * self.scale - self.shift).transpose(0, 3, 1, 2))

    def image(self, path):
        image = Image.open(path).convert("RGB")
        if self.shortest is None:
            return np.asarray(image.resize((self.side, self.side), self.resample))
        width, height = image.size
        short = min(width, height)
        width, height = (int(self.shortest * side / short) for side in (width, height))
        left, top = (width - self.side) // 2, (height - self.side) // 2
        return np.asarray(image.resize((width, height), self.resample))[top : top + self.side, left : left + self.side]

    def ahead(self, batches):
        """Batches that a thread beside this one prepares; decoding and resizing let other threads of Python run."""
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self.prepare, batches[0])
            for batch in batches[1:]:
                pixels, coming = coming.result(), thread.submit(self.prepare, batch)
                yield pixels
            yield coming.result()

    def pixels(self, batch):
        return batch


class OnnxRuntime(Prepared):
    def __init__(self, args):
        import onnxruntime

        super().__init__(args)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        file = {"f32": "model.onnx", "int8": "model-int8.onnx"}[args.dtype]
        self.session = onnxruntime.InferenceSession(args.graphs / file, options, providers=["CPUExecutionProvider"])

    def run(self, pixels):
        return self.session.run(None, {"pixel_values": pixels})[0]


class OpenVino(Prepared):
    def __init__(self, args):
        import openvino

        super().__init__(args)
        hints = {
            "INFERENCE_PRECISION_HINT": args.dtype,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": args.threads,
        }
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(args.graphs / "model.onnx"), "CPU", hints)

    def run(self, pixels):
        return np.array(self.model(pixels)[0])
