"""Command line arguments that all runners of the penguin pipeline share."""

import argparse


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that every runner of the pipeline accepts."""
    parser.add_argument(
        "--exports-to-keep",
        type=int,
        default=5,
        metavar="N",
        help="number of exports to keep in the base directory; 0 keeps all (default: %(default)s)",
    )
    parser.add_argument(
        "--no-cache",
        dest="enable_cache",
        action="store_false",
        help="run every component, even if its inputs have not changed since an earlier run",
    )
    # An argument that is not passed stays out of the namespace, so the trainer module's defaults
    # apply.
    hyperparameters = parser.add_argument_group("hyperparameters")
    for flag, kind, text in (
        ("--epochs", int, "passes over the training examples"),
        ("--learning-rate", float, "learning rate of the Adam optimizer"),
        ("--seed", int, "seed of the initial weights"),
    ):
        hyperparameters.add_argument(flag, type=kind, default=argparse.SUPPRESS, help=text)


def name_and_value(text: str) -> tuple[str, str]:
    """Returns the parts of NAME=VALUE.

    Raises:
        argparse.ArgumentTypeError: The text has another form.
    """
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE (got {text!r})")
    return name, value
