#!/usr/bin/env python3
"""A student that `prune` writes opens in diffusers and computes there what `espalier run` computes.

    diffusers_parity_test.py ESPALIER_BINARY WORK_DIR

Teachers are small diffusers UNets with SDXL's and SD 1.x's own block structures, made here. For every student: the
folder loads with UNet2DConditionModel.from_pretrained, the single file through diffusers' own single-file loader, and both
give `run`'s output within max|a-b| <= 1e-4 * max|b| + 1e-5. Exit code 77 (skipped) where torch or diffusers are absent.
"""
import json, os, pathlib, shutil, subprocess, sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import torch, diffusers
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed (pip install torch diffusers safetensors)")
    sys.exit(77)

torch.set_num_threads(2)
SDXL = dict(sample_size=16, in_channels=4, out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(32, 64, 128), layers_per_block=2, cross_attention_dim=2048, attention_head_dim=(1, 1, 2),
            transformer_layers_per_block=(1, 2, 10), norm_num_groups=32, use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
SD15 = dict(sample_size=16, in_channels=4, out_channels=4,
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            block_out_channels=(32, 64, 64, 64), layers_per_block=2, cross_attention_dim=768, attention_head_dim=8)
STUDENTS = [("sdxl", "ssd-1b"), ("sdxl", "vega"), ("sdxl", "koala-700m"), ("sdxl", "koala-1b"),
            ("sd15", "bk-sdm-base"), ("sd15", "bk-sdm-small"), ("sd15", "bk-sdm-tiny")]


def make_teacher(config, folder, seed):
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(**config).eval()
    with torch.no_grad():
        for p in unet.parameters():
            if p.ndim == 1:
                p.add_(0.1 * torch.randn_like(p))
            p.copy_(p.half().float())
    unet.half().save_pretrained(folder / "unet")


def make_inputs(config, file, seed):
    g = torch.Generator().manual_seed(seed)
    x = {"sample": torch.randn(2, 4, 18, 14, generator=g), "timestep": torch.tensor([17.0, 803.0]),
         "encoder_hidden_states": torch.randn(2, 9, config["cross_attention_dim"], generator=g)}
    if "addition_embed_type" in config:
        x["text_embeds"] = torch.randn(2, 2816 - 6 * 256, generator=g)
        x["time_ids"] = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024], [512.0, 768, 8, 0, 1024, 768]])
    save_file(x, file)
    return x


def answer(unet, x):
    added = {k: x[k] for k in ("text_embeds", "time_ids") if k in x} or None
    with torch.no_grad():
        return unet(x["sample"], x["timestep"], x["encoder_hidden_states"], added_cond_kwargs=added).sample


def load_single_file(path, folder):
    """diffusers' own single-file loader where it works offline, else its conversion function."""
    try:
        return UNet2DConditionModel.from_single_file(str(path), config=str(folder), torch_dtype=torch.float32), "from_single_file"
    except Exception as error:  # noqa: BLE001 - any failure of the loader leads to the conversion function
        from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
        config = UNet2DConditionModel.load_config(folder)
        unet = UNet2DConditionModel.from_config(config)
        state = convert_ldm_unet_checkpoint(load_file(path), config=dict(config))
        unet.load_state_dict({k: v.float() for k, v in state.items()}, strict=True)
        return unet, f"convert_ldm_unet_checkpoint (from_single_file: {type(error).__name__})"


def close(name, got, want):
    worst, bound = (got - want).abs().max().item(), 1e-4 * want.abs().max().item() + 1e-5
    print(f"  {name:58s} max|a-b| {worst:.2e} (bound {bound:.2e})")
    return worst <= bound


def main():
    binary, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run = lambda *a: subprocess.run([str(binary), *map(str, a)], check=True, stdout=subprocess.DEVNULL)
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}")
    inputs, ok = {}, True
    for name, config, seed in (("sdxl", SDXL, 1), ("sd15", SD15, 2)):
        make_teacher(config, work / name, seed)
        inputs[name] = make_inputs(config, work / f"{name}-inputs.safetensors", seed + 10)
    for teacher, pattern in STUDENTS:
        student = work / pattern
        run("prune", work / teacher, "--use", f"espalier.prune.{pattern}", "--out", student)
        run("export", student, "--as", "single-file", "--out", work / f"{pattern}.safetensors")
        outputs = work / f"{pattern}-outputs.safetensors"
        run("run", student, "--inputs", work / f"{teacher}-inputs.safetensors", "--outputs", outputs)
        got = load_file(outputs)["sample"]
        folder = UNet2DConditionModel.from_pretrained(student / "unet", torch_dtype=torch.float32).eval()
        ok &= close(f"{teacher} -> {pattern}: folder", got, answer(folder, inputs[teacher]))
        single, how = load_single_file(work / f"{pattern}.safetensors", student / "unet")
        ok &= close(f"{teacher} -> {pattern}: {how}", got, answer(single.eval(), inputs[teacher]))
        from_single = work / f"{pattern}-single-outputs.safetensors"
        run("run", work / f"{pattern}.safetensors", "--inputs", work / f"{teacher}-inputs.safetensors", "--outputs", from_single)
        ok &= close(f"{teacher} -> {pattern}: run of the single file", load_file(from_single)["sample"], got)
    print("passed" if ok else "FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
