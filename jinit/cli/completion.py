"""`jinit completion`: completion of commands and options in the shell."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def print_completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    To complete commands and options in this session of bash, type:

        eval "$(jinit completion bash)"
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"this version of click has no completion for {shell}")
    click.echo(completion(context.find_root().command, {}, "jinit", "_JINIT_COMPLETE").source())
