"""Times a training step of strata and of PyTorch eager in turn, and prints the ratio of medians.

    python compare.py --strata ../../target/release/strata --data DIR [--rounds 7] [--models mlp,lenet,lstm]

Both sides run as fresh processes, one after the other, round after round, so that a machine whose speed drifts
slows both. DIR is what `--data` takes: it holds `mnist/`. `lstm` is `specs/char_rnn.model` with two layers of 256 units, in windows
of 64 characters and batches of 32.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SPECS = {
    "mlp": ["mnist_mlp.model"], "lenet": ["mnist_lenet.model"], "digits": ["digits.model"],
    "lstm": ["char_rnn.model", "--set", "depth=2", "--set", "units=256"],
}
STEPS = {"mlp": 300, "lenet": 60, "digits": 200, "lstm": 20}
TWINS = {"lstm": ["torch_rnn.py", "bench", "--depth", "2", "--units", "256"]}


def median_ms(command):
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    return json.loads(line)["median_ms"]


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--strata", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--models", default="mlp,lenet")
options = parser.parse_args()
for model in options.models.split(","):
    steps = ["--steps", str(STEPS[model]), "--threads", str(options.threads)]
    name, *bound = SPECS[model]
    spec = str(HERE.parent.parent / "specs" / name)
    ours = [options.strata, "bench", spec, *bound, "--data", options.data, "--json", *steps]
    twin, *named = TWINS.get(model, ["torch_twin.py", "bench", model])
    theirs = [sys.executable, str(HERE / twin), *named, *steps]
    pairs = [(median_ms(ours), median_ms(theirs)) for _ in range(options.rounds)]
    ratios = sorted(a / b for a, b in pairs)
    print(f"{model}: strata {statistics.median(a for a, _ in pairs):.2f} ms, "
          f"PyTorch eager {statistics.median(b for _, b in pairs):.2f} ms, "
          f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f} over {options.rounds} rounds)")
