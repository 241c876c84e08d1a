#!/usr/bin/env python3
"""inspect_speed.py BUILD WORK: time and memory of `inspect` on SDXL's weights and config; fresh processes, median of 9."""
import pathlib, resource, statistics, subprocess, sys, time


def main():
    binary, work = pathlib.Path(sys.argv[1]) / "bin/espalier", pathlib.Path(sys.argv[2])
    root = pathlib.Path(__file__).resolve().parent.parent
    for label, model in (("sdxl folder, 5.1 GB of weights", work / "sdxl"), ("sdxl config alone", root / "tests/configs/sdxl-base-unet.json")):
        seconds = []
        for _ in range(9):
            begin = time.perf_counter()
            subprocess.run([str(binary), "inspect", str(model), "--json"], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begin)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"inspect, {label:32s} min {min(seconds) * 1e3:6.0f} ms  median {statistics.median(seconds) * 1e3:6.0f} ms  peak RSS so far {peak:6.0f} MiB")


if __name__ == "__main__":
    main()
