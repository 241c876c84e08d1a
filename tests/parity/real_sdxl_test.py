#!/usr/bin/env python3
"""The bridge for a real SDXL, on a tiny random pipeline of SDXL's own structure.

    real_sdxl_test.py ESPALIER_BINARY WORK_DIR

`make_cache.py` turns images of several aspects into a cache whose every row is what the pipeline itself computes, and `espalier distill`
trains the pipeline's UNet on it; `capture.py` records a step, `espalier run` replays it, and every tap agrees; a tap that is changed is
found. Exit code 77 (skipped) where torch or diffusers are absent.
"""
import json, os, pathlib, shutil, subprocess, sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import numpy, torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from PIL import Image
    from safetensors.torch import load_file, save_file
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed (pip install torch diffusers transformers safetensors pillow)")
    sys.exit(77)

torch.set_num_threads(2)
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "real-sdxl"
SIZES = {"wide.png": (90, 40), "square.png": (64, 64), "tall.png": (40, 80), "also-square.png": (130, 128), "none.png": (64, 64)}


def tiny_pipeline(folder):
    """Every part of SDXL at the smallest width, random weights; a tokenizer of single bytes."""
    torch.manual_seed(0)
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = {t: i for i, t in enumerate(letters + [l + "</w>" for l in letters] + ["<|startoftext|>", "<|endoftext|>"])}
    words = folder / "words"
    words.mkdir(parents=True)
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77)
    text = dict(vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
                bos_token_id=len(vocabulary) - 2, eos_token_id=len(vocabulary) - 1, pad_token_id=len(vocabulary) - 1)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), block_out_channels=(8, 16, 32), layers_per_block=2,
        cross_attention_dim=40, attention_head_dim=(1, 2, 4), transformer_layers_per_block=(1, 2, 3), norm_num_groups=8,
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=24 + 48)
    vae = AutoencoderKL(block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                        latent_channels=4, norm_num_groups=4, scaling_factor=0.13025, sample_size=64)
    pipe = StableDiffusionXLPipeline(
        vae=vae, text_encoder=CLIPTextModel(CLIPTextConfig(**text)), tokenizer=tokenizer, tokenizer_2=tokenizer, unet=unet,
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**{**text, "hidden_size": 24, "projection_dim": 24})),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1))
    pipe.save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def images(folder):
    generator = numpy.random.default_rng(0)
    folder.mkdir()
    for name, (width, height) in SIZES.items():
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=numpy.uint8)).save(folder / name)
    for name in ("wide", "tall"):
        (folder / f"{name}.txt").write_text(f"a {name} one\n")
    (folder / "metadata.jsonl").write_text("".join(
        json.dumps({"file_name": f"{n}.png", "text": f"{n} it is"}) + "\n" for n in ("square", "also-square")))
    (folder / "broken.png").write_bytes(b"not a picture")
    (folder / "broken.txt").write_text("broken\n")
    return folder


def check(condition, what):
    print(("  ok      " if condition else "  FAILED  ") + what)
    if not condition:
        sys.exit(1)


def run(*command, expect=0):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != expect:
        print(done.stdout, done.stderr)
    check(done.returncode == expect, f"{pathlib.Path(str(command[1])).name} {command[2]} ends with {expect}")
    return done.stdout + done.stderr


def test_cache(pipeline, work):
    out = work / "cache"
    make = [sys.executable, EXAMPLE / "make_cache.py", "--pipeline", pipeline, "--images", images(work / "images"), "--out", out,
            "--source", "random pixels", "--resolution", 64, "--multiple", 16, "--rows-per-shard", 1]
    said = run(*make)
    check("4 kept in 3 sizes, 2 dropped" in said and "none.png: has no caption" in said and "broken.png: cannot be read" in said,
          "says what was kept and dropped and why")
    index = json.loads((out / "index.json").read_text())
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    shards = [(b, s, n) for b in index["buckets"] for s, n in zip(b["shards"], b["rows"])]
    check([(s, r) for _, s, n in shards for r in range(n)] == [(r["shard"], r["row"]) for r in rows], "rows stand in the order of the shards")
    check({r["id"]: r["caption"] for r in rows} == {"wide.png": "a wide one", "tall.png": "a tall one", "square.png": "square it is",
                                                    "also-square.png": "also-square it is"}, "captions are those beside the images and of metadata.jsonl")
    pipe = StableDiffusionXLPipeline.from_pretrained(pipeline)
    for bucket, shard, _ in shards:
        tensors, row = load_file(out / shard), next(r for r in rows if r["shard"] == shard)
        height, width = bucket["height"] * 8, bucket["width"] * 8
        original, ids = SIZES[row["id"]], tensors["time_ids"][0].tolist()
        check(tensors["latents"].shape == (1, index["channels"], bucket["height"], bucket["width"]), f"{shard}: latents of its bucket's size")
        check(ids[:2] == [original[1], original[0]] and ids[4:] == [height, width], f"{shard}: original and target sizes")
        scale = max(height / original[1], width / original[0])
        check(abs(2 * ids[2] + height - original[1] * scale) <= 2 and abs(2 * ids[3] + width - original[0] * scale) <= 2,
              f"{shard}: cropped in the middle")
        with torch.no_grad():
            text, _, pooled, _ = pipe.encode_prompt(row["caption"], do_classifier_free_guidance=False)
        check(torch.allclose(tensors["encoder_hidden_states"][0].float(), text[0], atol=2e-3) and
              torch.allclose(tensors["text_embeds"][0].float(), pooled[0], atol=2e-3), f"{shard}: embeddings are the pipeline's")
    exact = next(r for r in rows if r["id"] == "square.png")
    pixels = torch.from_numpy(numpy.asarray(Image.open(work / "images/square.png")).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        latents = pipe.vae.encode(pixels).latent_dist.mean * pipe.vae.config.scaling_factor
    check(torch.allclose(load_file(out / exact["shard"])["latents"].float(), latents, atol=2e-3), "latents are the VAE's posterior mean, scaled")
    nothing = load_file(out / "unconditional.safetensors")
    check(nothing["encoder_hidden_states"].abs().max() == 0 and nothing["text_embeds"].shape == (24,), "unconditional is the pipeline's: zeros for SDXL")
    check("exists; choose another" in run(*make, expect=1), "an existing cache is left alone")


RECIPE = """[student]
model = "pipeline/unet"
[data]
source = "cache"
path = "cache"
caption_dropout = 0.5
validation_rows = 1
[[loss]]
use = "espalier.loss.task"
[train]
steps = 6
batch_size = 2
"""


def test_training(work, espalier):
    (work / "recipe.toml").write_text(RECIPE)
    run(espalier, "distill", work / "recipe.toml", "--out", work / "run")
    rows = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    check(sum("task" in r for r in rows) == 6 and sum("val/task" in r for r in rows) == 1 and
          all(0 < r.get("task", 1) < 10 for r in rows), "the cache is trained on in all its sizes")


def test_capture(pipeline, work, espalier):
    capture, script = work / "capture", EXAMPLE / "capture.py"
    run(sys.executable, script, "record", "--pipeline", pipeline, "--prompt", "a red fox", "--steps", 4, "--step", 2, "--height", 64, "--width", 96,
        "--out", capture)
    inputs, expected = load_file(capture / "inputs.safetensors"), load_file(capture / "expected.safetensors")
    check(inputs["sample"].shape == (2, 4, 8, 12) and inputs["timestep"].shape == (2,), "inputs are the pipeline's batch of two")
    run(espalier, "run", pipeline, "--inputs", capture / "inputs.safetensors", "--outputs", capture / "actual.safetensors", "--taps", "*")
    check(f"certified: all {len(expected)} tensors" in run(sys.executable, script, "compare", capture), "every tap agrees")
    actual = load_file(capture / "actual.safetensors")
    check(set(actual) == set(expected), f"espalier's taps are the recorded ones, all {len(expected)}")
    actual["mid_block.resnets.1"] = actual["mid_block.resnets.1"] * 1.01
    save_file(actual, capture / "actual.safetensors")
    check("the first is mid_block.resnets.1" in run(sys.executable, script, "compare", capture, expect=1), "a changed tap is named")
    check("step 9 is beyond" in run(sys.executable, script, "record", "--pipeline", pipeline, "--prompt", "x", "--steps", 2, "--step", 9,
                                    "--height", 64, "--width", 64, "--out", work / "never", expect=1), "a step beyond the last is refused")


def main():
    espalier, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    pipeline = tiny_pipeline(work)
    test_cache(pipeline, work)
    test_training(work, espalier)
    test_capture(pipeline, work, espalier)
    print("passed")


if __name__ == "__main__":
    main()
