#!/usr/bin/env python3
"""make_model.py CONFIG.json OUT [f16|f32]: writes OUT/unet/{config.json,diffusion_pytorch_model.safetensors}, seeded random.

Tensors are made and written one after the other, so that SDXL (5.1 GB) needs little memory.
"""
import json, pathlib, struct, sys
import torch
from diffusers import UNet2DConditionModel


def main():
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())
    dtype = {"f16": torch.float16, "f32": torch.float32}[sys.argv[3] if len(sys.argv) > 3 else "f16"]
    out = pathlib.Path(sys.argv[2]) / "unet"
    out.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shapes = {name: tuple(t.shape) for name, t in unet.state_dict().items()}
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = dtype.itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": "F16" if dtype == torch.float16 else "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(0)
    with open(out / "diffusion_pytorch_model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            norm = "norm" in name and name.endswith("weight")
            fan_in = max(1, torch.Size(shape[1:]).numel())
            values = torch.randn(shape, generator=generator) * (0.1 if len(shape) == 1 else fan_in ** -0.5) + (1 if norm else 0)
            file.write(values.to(dtype).numpy().tobytes())
    print(out, offset, "bytes")


if __name__ == "__main__":
    main()
