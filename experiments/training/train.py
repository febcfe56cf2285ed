"""Train what a bundled model ships.

The command is `python -m autosearch.experiments.training.train SUBJECT --out DIR`.

The features and reference statistics come first (minutes), then the network (`--only` takes one
of the two). Everything random comes from the seed; one thread.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from autosearch.experiments.training.configs import SUBJECTS
from autosearch.experiments.training.train_features import train_features
from autosearch.experiments.training.train_network import train_network

__all__ = ["main"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a bundled model.")
    parser.add_argument("subject", choices=tuple(SUBJECTS))
    parser.add_argument("--out", type=Path, required=True, help="directory for the files")
    parser.add_argument("--only", choices=("features", "network"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of the network, over which its rate decays")
    parser.add_argument("--stop", type=int, help="after so many of the steps")
    parser.add_argument("--prediction", choices=("noise", "data", "v", "flow"))
    options = parser.parse_args()
    subject = SUBJECTS[options.subject]
    given = {name: getattr(options, name) for name in ("steps", "stop", "prediction")}
    given = {name: value for name, value in given.items() if value is not None}
    real, name = subject.real(), subject.name
    if options.only != "network":
        config = dataclasses.replace(subject.features_training, seed=options.seed)
        figures = train_features(real, subject.features, name=name, out=options.out, config=config)
        print(json.dumps(figures), flush=True)
    if options.only != "features":
        training = dataclasses.replace(subject.training, seed=options.seed, **given)
        path = train_network(real, subject.network, name=name, out=options.out, config=training)
        print(f"saved {path}")


if __name__ == "__main__":
    main()
