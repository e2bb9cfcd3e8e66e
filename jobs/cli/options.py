"""The options of CleanOptions as options of a command: `pumice clean` and `pumice submit` take the same."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from jobs.config import CleanOptions, load_options
from model.shipped import CLEANER

Place = Annotated[str, typer.Argument(help="A folder or s3://bucket/prefix.")]
Join = Annotated[bool, typer.Option("--join", help="If another run works on DST, share its work.")]
Config = Annotated[Path | None, typer.Option(help="A TOML file with these options.")]


def takes_options(*but: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of CleanOptions, except `but`, and --config.

    Its parameter `options` receives the CleanOptions; a wrong value raises InputError.
    """
    names = [name for name in CleanOptions.model_fields if name not in but]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapped(config: Path | None, **words: Any) -> None:
            given = {name: words.pop(name) for name in names}
            told = {name: value for name, value in given.items() if value is not None}
            command(**words, options=load_options(config, told))

        own = [one for name, one in signature(command).parameters.items() if name != "options"]
        config = Parameter("config", Parameter.KEYWORD_ONLY, default=None, annotation=Config)
        every = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*own, *map(_parameter, names), config)]
        wrapped.__signature__ = Signature(every)  # type: ignore[attr-defined]  # typer reads it
        return wrapped

    return decorate


def _parameter(name: str) -> Parameter:
    """A field as typer wants it: None where it isn't given, so that job.toml or the default holds."""
    field = CleanOptions.model_fields[name]
    kind: Any = field.annotation
    has_default = field.default not in (None, False, CLEANER)  # the help texts of these say what holds
    # typer would put a text that it is given as the default into brackets of its own: "[default: (auto)]".
    text = f"{field.description} Default: {field.default}." if has_default else field.description
    option = typer.Option(f"--{name.replace('_', '-')}", help=text, show_default=False)
    # A choice is a text here: CleanOptions says which there are, for job.toml as well.
    annotation = Annotated[(str if get_origin(kind) is Literal else kind) | None, option]  # type: ignore[valid-type]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
