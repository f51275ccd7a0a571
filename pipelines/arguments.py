"""Arguments that the pipeline's three command lines have in common."""

import argparse


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what a run of the pipeline can be given, whatever runs it."""
    parser.add_argument(
        "--exports-to-keep",
        type=int,
        default=5,
        metavar="N",
        help="exports that stay in the base directory; 0 keeps all (default: %(default)s)",
    )
    parser.add_argument(
        "--no-cache",
        dest="enable_cache",
        action="store_false",
        help="run every component, even if its inputs have not changed",
    )
    # Left out where not given: their defaults are the trainer module's.
    hyperparameters = parser.add_argument_group("hyperparameters")
    for flag, kind, text in (
        ("--epochs", int, "passes over the training examples"),
        ("--learning-rate", float, "of Adam"),
        ("--seed", int, "of the initial weights"),
    ):
        hyperparameters.add_argument(flag, type=kind, default=argparse.SUPPRESS, help=text)
