"""The group of all commands, which suggests a command for one that is mistyped."""

from importlib import metadata
from typing import Any

import click

from jinit.choice import closest
from jinit.cli.calibrate import calibrate_network
from jinit.cli.catalog import list_initializers, show_initializer
from jinit.cli.completion import print_completion
from jinit.cli.diagnose import diagnose_network
from jinit.cli.doctor import examine_machine
from jinit.cli.learn import write_lessons
from jinit.cli.pretrain import pretrain_network
from jinit.cli.report import write_report
from jinit.cli.resume import resume_sweep
from jinit.cli.scale import show_scale_effect
from jinit.cli.status import show_status
from jinit.cli.sweep import run_sweep
from jinit.cli.track import track_sweep
from jinit.cli.tune import tune_initializations
from jinit.cli.worker import work_on_sweep


class _SuggestingGroup(click.Group):
    """A group of commands that names the nearest one when it does not know a command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            near = closest(args[0], known)[:1]
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_SuggestingGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(metadata.version("jinit"), message="jinit %(version)s")
def commands() -> None:
    """From which weights should this network start, and how do I know?"""


for command in (
    run_sweep,
    resume_sweep,
    work_on_sweep,
    show_status,
    tune_initializations,
    diagnose_network,
    show_scale_effect,
    calibrate_network,
    pretrain_network,
    write_report,
    track_sweep,
    list_initializers,
    show_initializer,
    examine_machine,
    write_lessons,
    print_completion,
):
    commands.add_command(command)
