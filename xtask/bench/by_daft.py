"""Daft's `embed_image`, from the files' bytes, with the batch size that it takes by itself or the one it is given."""

import numpy as np


class Daft:
    def __init__(self, args):
        import daft
        from daft.functions import decode_image, embed_image

        self.daft, self.decode, self.embed_image, self.args = daft, decode_image, embed_image, args

    def embed(self, paths):
        daft, options = self.daft, {"batch_size": self.args.batch} if self.args.batch else {}
        image = self.decode(daft.col("path").download(), mode="RGB")
        vectors = self.embed_image(image, provider="transformers", model=str(self.args.model), **options)
        table = daft.from_pydict({"path": [str(path) for path in paths]}).select("path", vectors.alias("embedding"))
        # A folder with the file in it: what `write_parquet` makes is what is measured.
        folder = self.args.out.with_suffix(".daft")
        table.write_parquet(str(folder), write_mode="overwrite")
        if not self.args.npy:
            return np.zeros((len(paths), 1), np.float32)
        rows = daft.read_parquet(str(folder / "*.parquet")).sort("path").to_pydict()
        return np.array(rows["embedding"], np.float32)
