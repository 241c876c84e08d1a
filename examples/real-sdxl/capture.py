#!/usr/bin/env python3
"""Records one step of your own SDXL in PyTorch, and certifies that `espalier run` computes the same, block by block.

    capture.py record --pipeline sdxl --prompt "a red fox" --step 10 --out capture
    espalier run sdxl/unet --inputs capture/inputs.safetensors --outputs capture/actual.safetensors --taps '*'
    capture.py compare capture

`record` lets the pipeline sample and takes the UNet's call of that step: its inputs as the pipeline made them (guidance included, so a
batch of two), its output, and the output of every stage, resnet, attention module, transformer block and attn1. `compare` prints the
relative distance |a-b|/|b| of each in the order of computation, and fails at the first that is above the tolerance.
Needs torch, diffusers, transformers and safetensors.
"""
import argparse, json, pathlib, re, sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

TAP = re.compile(r"(down_blocks|up_blocks)\.\d+|mid_block|.*(resnets|attentions|transformer_blocks)\.\d+|.*\.attn1")


class Captured(Exception):
    """Ends the sampling once its step is recorded."""


def record(args):
    from diffusers import StableDiffusionXLPipeline
    pipe = StableDiffusionXLPipeline.from_pretrained(args.pipeline).to(args.device, torch.float32)
    inputs, taps, calls = {}, {}, []

    def keep(name):
        def hook(_module, _args, output):
            value = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
            taps[name] = value.detach().float().cpu().clone().contiguous()
        return hook

    def before(unet, positional, named):
        calls.append(1)
        if len(calls) <= args.step:
            return
        for name, module in unet.named_modules():
            if TAP.fullmatch(name):
                module.register_forward_hook(keep(name))
        sample, timestep = positional[:2]
        added = named["added_cond_kwargs"]
        inputs.update(sample=sample, timestep=timestep.reshape(-1).expand(len(sample)), text_embeds=added["text_embeds"],
                      time_ids=added["time_ids"], encoder_hidden_states=named["encoder_hidden_states"])

    def after(_unet, _positional, output):
        if inputs:
            taps["sample"] = output[0].detach().float().cpu().contiguous()
            raise Captured

    pipe.unet.register_forward_pre_hook(before, with_kwargs=True)
    pipe.unet.register_forward_hook(after)
    try:
        pipe(args.prompt, num_inference_steps=args.steps, height=args.height, width=args.width, output_type="latent",
             generator=torch.Generator("cpu").manual_seed(args.seed))
        sys.exit(f"capture: the pipeline called its UNet {len(calls)} times; step {args.step} is beyond (they count from 0)")
    except Captured:
        pass
    args.out.mkdir(parents=True, exist_ok=True)
    save_file({name: value.float().cpu().clone().contiguous() for name, value in inputs.items()}, args.out / "inputs.safetensors")
    save_file(taps, args.out / "expected.safetensors", {"order": json.dumps(list(taps)), "prompt": args.prompt})
    print(f"{args.out}: step {args.step} at timestep {inputs['timestep'][0].item():g}, batch {len(inputs['sample'])}, {len(taps)} tensors\n"
          f"next: espalier run UNET --inputs {args.out}/inputs.safetensors --outputs {args.out}/actual.safetensors --taps '*'")


def compare(args):
    with safe_open(args.folder / "expected.safetensors", "pt") as file:
        order = json.loads(file.metadata()["order"])
    expected, actual = load_file(args.folder / "expected.safetensors"), load_file(args.folder / "actual.safetensors")
    failed, worst = [], 0.0
    for name in order:
        if name not in actual:
            failed.append(name)
            print(f"  MISSING            {name}")
            continue
        got, want = actual[name].double(), expected[name].double()
        same = got.shape == want.shape
        distance = ((got - want).norm() / want.norm()).item() if same else float("nan")
        good = distance <= args.tolerance  # a NaN is not
        worst = max(worst, distance)
        print(f"  {'ok' if good else 'DIFFERS':7s} {distance:9.2e}  {name}" + ("" if same else f"  {list(got.shape)} for {list(want.shape)}"))
        if not good:
            failed.append(name)
    for name in sorted(set(actual) - set(order)):
        print(f"  not recorded, not compared: {name}")
    if failed:
        sys.exit(f"capture: {len(failed)} of {len(order)} differ by more than {args.tolerance:g}; the first is {failed[0]}")
    print(f"certified: all {len(order)} tensors within {args.tolerance:g}, the worst {worst:.2e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    make = commands.add_parser("record", help="sample with the pipeline and keep one step")
    make.add_argument("--pipeline", required=True, help="folder or name of a StableDiffusionXLPipeline")
    make.add_argument("--prompt", required=True)
    make.add_argument("--out", required=True, type=pathlib.Path)
    make.add_argument("--steps", type=int, default=30, help="that the pipeline samples with")
    make.add_argument("--step", type=int, default=10, help="that is recorded, from 0")
    make.add_argument("--height", type=int)
    make.add_argument("--width", type=int)
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--device", default="cpu")
    make.set_defaults(run=record)
    check = commands.add_parser("compare", help="FOLDER/actual.safetensors against FOLDER/expected.safetensors")
    check.add_argument("folder", type=pathlib.Path)
    check.add_argument("--tolerance", type=float, default=1e-4, help="of |a-b|/|b|; f32 on both sides stays well below")
    check.set_defaults(run=compare)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
