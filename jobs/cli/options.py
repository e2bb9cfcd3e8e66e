"""The options of a job, declared once: `pumice clean` and `pumice submit` take the same."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated

import typer

from jobs.config import CleanOptions, load_options

Place = Annotated[str, typer.Argument(help="A folder or s3://bucket/prefix.")]
Join = Annotated[bool, typer.Option("--join", help="Share the work of a run that is at it.")]


def clean_options(
    model: Annotated[
        Path | None, typer.Option(help="Weights to clean with; the shipped ones if not given.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    gpus_per_actor: Annotated[float | None, typer.Option(help="A cleaner's share of a GPU, up to 1.")] = None,
    also_cpu: Annotated[
        bool, typer.Option("--also-cpu", help="Clean on cores, too, that cleaners on GPUs leave.")
    ] = False,
    max_attempts: Annotated[int | None, typer.Option(help="Tries at a shard before it is set aside.")] = None,
    shard_timeout: Annotated[
        float | None, typer.Option(help="Seconds without progress after which a shard is tried anew; 900.")
    ] = None,
    max_failed_pages: Annotated[
        float | None, typer.Option(help="Share of a shard's pages that may fail, 0 to 1; 0.5.")
    ] = None,
    recipe_changed: Annotated[str | None, typer.Option(help="keep (default) or redo old results.")] = None,
    on_suspicion: Annotated[
        str | None, typer.Option(help="Pages that may have lost ink: flag (default), keep-original or blend.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with these options.")] = None,
) -> CleanOptions:
    """What was given, over what the file says, over the defaults; raises InputError."""
    given = {
        "model": model, "device": device, "gpus_per_actor": gpus_per_actor, "also_cpu": also_cpu or None,
        "max_attempts": max_attempts, "shard_timeout": shard_timeout, "max_failed_pages": max_failed_pages,
        "recipe_changed": recipe_changed, "on_suspicion": on_suspicion,
    }  # fmt: skip
    return load_options(config, {key: value for key, value in given.items() if value is not None})


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take all of the above: its parameter `options` gets what they amount to."""
    own, shared = signature(command).parameters, signature(clean_options).parameters

    @wraps(command)
    def wrapped(**given: object) -> None:
        options = clean_options(**{name: given.pop(name) for name in shared})  # type: ignore[arg-type]
        command(**given, options=options)

    named = [one for name, one in own.items() if name != "options"]
    every = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*named, *shared.values())]
    wrapped.__signature__ = Signature(every)  # type: ignore[attr-defined]  # typer asks for it
    return wrapped
