#!/usr/bin/env python3
"""Turns a folder of captioned images into a cache that `espalier distill` trains on, with your own SDXL pipeline.

    make_cache.py --pipeline stabilityai/stable-diffusion-xl-base-1.0 --images photos --source "my own photos, CC BY 4.0" --out cache --device cuda

A caption is the text beside its image (cat.jpg, cat.txt) or a line of photos/metadata.jsonl ({"file_name", "text"}). Every image is
scaled and cropped in its middle to the size of nearest aspect among those of about resolution^2 pixels; SDXL's size conditioning says
what it was and where it was cut. Latents are the mean of the VAE's posterior times its scaling factor. Format: core/data/cache.h.
Needs torch, diffusers, transformers, safetensors and pillow.
"""
import argparse, json, math, os, pathlib, shutil, sys

import numpy, torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image, ImageOps
from safetensors.torch import save_file

ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def bucket_sizes(resolution, multiple, max_aspect):
    """(height, width) of every multiple of `multiple` whose area is nearest to, and not above, resolution^2."""
    sizes = set()
    for width in range(multiple, int(resolution * max_aspect) + 1, multiple):
        height = resolution * resolution // width // multiple * multiple
        if height and max(height / width, width / height) <= max_aspect:
            sizes.add((height, width))
    return sorted(sizes)


def find_captions(folder):
    """{image file: caption}, and [(image file, why it was dropped)]."""
    named = {}
    if (folder / "metadata.jsonl").exists():
        for line in filter(str.strip, (folder / "metadata.jsonl").read_text("utf-8").splitlines()):
            row = json.loads(line)
            named[row["file_name"]] = row["text"]
    kept, dropped = {}, []
    for file in sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS):
        name, beside = file.relative_to(folder).as_posix(), file.with_suffix(".txt")
        caption = named.get(name) or (beside.read_text("utf-8").strip() if beside.exists() else "")
        if caption:
            kept[name] = caption
        else:
            dropped.append((name, "has no caption"))
    return kept, dropped


def fit(image, height, width):
    """The image scaled to cover height x width and cropped in the middle, and its six numbers of size conditioning."""
    scale = max(height / image.height, width / image.width)
    scaled = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    cut = image.resize(scaled, Image.Resampling.LANCZOS).crop((left, top, left + width, top + height))
    return cut, [image.height, image.width, top, left, height, width]


def load(file):
    return ImageOps.exif_transpose(Image.open(file)).convert("RGB")


def sort_by_size(folder, captions, sizes):
    """{(height, width): [image file]} by the nearest aspect, and what cannot be read."""
    buckets, dropped = {size: [] for size in sizes}, []
    for name in captions:
        try:
            image = load(folder / name)
        except OSError as error:
            dropped.append((name, f"cannot be read: {error}"))
            continue
        aspect = math.log(image.height / image.width)
        buckets[min(sizes, key=lambda size: (abs(math.log(size[0] / size[1]) - aspect), size))].append(name)
    return {size: names for size, names in buckets.items() if names}, dropped


@torch.no_grad()
def encode(pipe, image, caption, ids, device):
    pixels = torch.from_numpy(numpy.asarray(image).copy()).to(device).float().permute(2, 0, 1)[None] / 127.5 - 1
    latents = pipe.vae.encode(pixels).latent_dist.mean * pipe.vae.config.scaling_factor
    text, _, pooled, _ = pipe.encode_prompt(caption, device=device, do_classifier_free_guidance=False)
    # Sizes stay f32: f16 has no whole numbers between 2048 and 2050.
    return {"latents": latents[0].half(), "encoder_hidden_states": text[0].half(), "text_embeds": pooled[0].half(), "time_ids": torch.tensor(ids).float()}


def save(tensors, file):
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, file)


def write(args, pipe, captions, buckets, staging):
    """Fills `staging` with the cache. Returns the number of rows."""
    lines, index = [], []
    for number, ((height, width), names) in enumerate(sorted(buckets.items())):
        shards, counts = [], []
        for first in range(0, len(names), args.rows_per_shard):
            rows, shard = [], f"bucket-{number}-{len(shards):05d}.safetensors"
            for row, name in enumerate(names[first:first + args.rows_per_shard]):
                image, ids = fit(load(args.images / name), height, width)
                rows.append(encode(pipe, image, captions[name], ids, args.device))
                lines.append(json.dumps({"id": name, "caption": captions[name], "shard": shard, "row": row}, ensure_ascii=False))
            save({key: torch.stack([r[key] for r in rows]) for key in rows[0]}, staging / shard)
            shards.append(shard)
            counts.append(len(rows))
            print(f"{width}x{height}: {first + len(rows)} of {len(names)}", flush=True)
        channels, *size = rows[0]["latents"].shape
        index.append({"height": size[0], "width": size[1], "shards": shards, "rows": counts})
    # What this pipeline itself guides away from; zeros for SDXL.
    _, text, _, pooled = pipe.encode_prompt("", device=args.device, do_classifier_free_guidance=True)
    save({"encoder_hidden_states": text[0].half(), "text_embeds": pooled[0].half()}, staging / "unconditional.safetensors")
    (staging / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (staging / "index.json").write_text(json.dumps({
        "format": 1, "codec": "vae", "channels": channels, "tokens": text.shape[1], "embedding": text.shape[2], "pooled": pooled.shape[1],
        "source": args.source, "latent_scale": pipe.vae.config.scaling_factor, "buckets": index, "unconditional": "unconditional.safetensors",
    }, indent=2) + "\n", "utf-8")
    return len(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", required=True, help="folder or name of a StableDiffusionXLPipeline")
    parser.add_argument("--images", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder of the cache; must not exist yet")
    parser.add_argument("--source", required=True, help="what the images are, and their licence: one line, kept in the cache")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--multiple", type=int, default=64, help="of heights and widths, in pixels")
    parser.add_argument("--max-aspect", type=float, default=2.0)
    parser.add_argument("--rows-per-shard", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.out.exists():
        sys.exit(f"make_cache: {args.out} exists; choose another or remove it")
    captions, dropped = find_captions(args.images)
    buckets, unreadable = sort_by_size(args.images, captions, bucket_sizes(args.resolution, args.multiple, args.max_aspect))
    if not buckets:
        sys.exit(f"make_cache: {args.images} has no image that can be read and has a caption")
    # In f32, because SDXL's VAE overflows in f16; the UNet is not needed.
    pipe = StableDiffusionXLPipeline.from_pretrained(args.pipeline, unet=None).to(args.device, torch.float32)
    staging = args.out.with_name(args.out.name + ".partial")  # what an interrupted run leaves, the next one removes
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    rows = write(args, pipe, captions, buckets, staging)
    os.rename(staging, args.out)
    dropped += unreadable
    print(f"{rows} kept in {len(buckets)} sizes, {len(dropped)} dropped" + "".join(f"\n  {name}: {why}" for name, why in dropped))


if __name__ == "__main__":
    main()
