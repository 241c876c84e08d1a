#!/usr/bin/env python3
"""Records what diffusers' samplers do: timesteps, sigmas and the sample after every step.

Run: make_sampler_trajectories.py [OUT], by default sampler-trajectories/ beside this file. Needs torch, diffusers, safetensors,
and tiny-sdxl beside this file.

cases.json holds, for each case, the scheduler config, the sampler, the number of steps, and eta where it is not 0.
trajectories.safetensors holds <case>.timesteps [n], <case>.sigmas [n+1] (Euler only), <case>.samples [n+1,1,H,W,C] (the first is
the start: noise times init_noise_sigma), and <case>.noise [n,1,H,W,C] where eta is not 0. The model of these cases is a formula, so that
no weights are needed: what the model sees x, at timestep t -> 0.6 x / (1 + t/1000) + 0.3 sin(2 x + t/250), in f32.

The case `unet` runs tests/golden/tiny-sdxl with guidance; its start is recorded and its conditioning is row 0 of that case's inputs, the
unconditional one row 1.

timesteps.json: for DDIM and each spacing, the sum of t and the sum of (position + 1) t over the timesteps, for every count of
steps from 1 to 1000. diffusers gives one timestep too many, -1, for some counts of trailing spacing; it is left out.
"""
import json
import pathlib
import sys

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
SHAPE = (1, 4, 5, 3)  # N,H,W,C
SDXL = {  # scheduler/scheduler_config.json of SDXL base 1.0
    "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
    "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False}
COSINE = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "clip_sample": False}
EULER, DDIM = "EulerDiscreteScheduler", "DDIMScheduler"


def named(class_name, **fields):
    return {"_class_name": class_name, **fields}


CASES = {
    "sdxl-euler": dict(config=SDXL, sampler="euler", steps=20),
    "sdxl-ddim": dict(config=SDXL, sampler="ddim", steps=20),
    "sdxl-euler-odd": dict(config=SDXL, sampler="euler", steps=7),
    "euler-defaults": dict(config=named(EULER), sampler="euler", steps=10),
    "euler-trailing-v": dict(config=named(EULER, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                          timestep_spacing="trailing", prediction_type="v_prediction"), sampler="euler", steps=13),
    "euler-linspace-sample": dict(config=named(EULER, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                                               prediction_type="sample", final_sigmas_type="sigma_min"), sampler="euler", steps=9),
    "euler-cosine-v": dict(config=named(EULER, timestep_spacing="leading", **COSINE), sampler="euler", steps=15),
    "euler-zero-snr": dict(config=named(EULER, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True),
                           sampler="euler", steps=8),
    "ddim-defaults": dict(config=named(DDIM), sampler="ddim", steps=10),
    "ddim-cosine-v": dict(config=named(DDIM, timestep_spacing="trailing", **COSINE), sampler="ddim", steps=25),
    "ddim-cosine-v-leading": dict(config=named(DDIM, **COSINE), sampler="ddim", steps=11),
    "ddim-linspace-sample": dict(config=named(DDIM, beta_schedule="scaled_linear", timestep_spacing="linspace", prediction_type="sample",
                                              set_alpha_to_one=False, clip_sample_range=0.75), sampler="ddim", steps=12),
    "ddim-zero-snr": dict(config=named(DDIM, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                                       prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True),
                          sampler="ddim", steps=9),
    "ddim-eta": dict(config=SDXL, sampler="ddim", steps=10, eta=0.7),
    "unet": dict(config=SDXL, sampler="euler", steps=4, guidance=5.0),
}


def formula(x, t):
    return 0.6 * x / (1 + t / 1000) + 0.3 * torch.sin(2 * x + t / 250)


def scheduler_of(case):
    config = {k: v for k, v in case["config"].items() if not k.startswith("_")}
    made = (EulerDiscreteScheduler if case["sampler"] == "euler" else DDIMScheduler).from_config(config)
    made.set_timesteps(case["steps"])
    assert len(made.timesteps) == case["steps"]
    return made


def record(name, case, model, shape, tensors, generator):
    scheduler = scheduler_of(case)
    x = torch.randn(shape, generator=generator) * scheduler.init_noise_sigma
    samples, noises, eta = [x.clone()], [], case.get("eta", 0.0)
    for t in scheduler.timesteps:
        answer = model(scheduler.scale_model_input(x, t), t)
        extra = {}
        if eta:
            noises.append(torch.randn(shape, generator=generator))
            extra = {"eta": eta, "variance_noise": noises[-1]}
        x = scheduler.step(answer, t if case["sampler"] == "euler" else int(t), x, **extra).prev_sample
        samples.append(x.clone())
    tensors[f"{name}.timesteps"] = scheduler.timesteps.float()
    tensors[f"{name}.samples"] = torch.stack(samples)
    if case["sampler"] == "euler":
        tensors[f"{name}.sigmas"] = scheduler.sigmas.float()
    if noises:
        tensors[f"{name}.noise"] = torch.stack(noises)


def guided_unet(guidance):
    case = HERE / "tiny-sdxl"
    unet = UNet2DConditionModel.from_pretrained(case / "unet").float().eval()
    inputs = load_file(case / "inputs.safetensors")
    rows = [1, 0]  # unconditional, conditional
    added = {"text_embeds": inputs["text_embeds"][rows].float(), "time_ids": inputs["time_ids"][[0, 0]].float()}
    hidden = inputs["encoder_hidden_states"][rows].float()

    def predict(x, t):
        with torch.no_grad():
            answer = unet(torch.cat([x, x]), t, hidden, added_cond_kwargs=added).sample
        return answer[:1] + guidance * (answer[1:] - answer[:1])

    return predict, (1, unet.config.in_channels, *inputs["sample"].shape[2:])


def timestep_sums():
    sums = {}
    for spacing in ("leading", "trailing", "linspace"):
        made, rows = DDIMScheduler(timestep_spacing=spacing), []
        for steps in range(1, 1001):
            made.set_timesteps(steps)
            timesteps = made.timesteps[:steps].tolist()
            rows.append([sum(timesteps), sum((i + 1) * t for i, t in enumerate(timesteps))])
        sums[spacing] = rows
    return sums


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "sampler-trajectories"
    out.mkdir(parents=True)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)
    generator, tensors = torch.Generator().manual_seed(4), {}
    for name, case in CASES.items():
        if name == "unet":
            predict, shape = guided_unet(case["guidance"])
            record(name, case, predict, shape, tensors, generator)
            tensors["unet.samples"] = tensors["unet.samples"].permute(0, 1, 3, 4, 2)
        else:
            record(name, case, formula, SHAPE, tensors, generator)
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "trajectories.safetensors")
    (out / "cases.json").write_text(json.dumps(CASES, indent=1) + "\n")
    (out / "timesteps.json").write_text(json.dumps(timestep_sums(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
