"""`tet`, the command line. Each command is a function in another module of this package."""

import sys
from typing import Any

import typer

from service.cli import posting, report_files, showing, steering, up
from service.cli.output import drop_output, fail, fail_of_system, flush
from service.errors import TetError


class Group(typer.core.TyperGroup):
    """A group of commands that prints errors of the project and of the system as one message, with exit status 1.

    Any other exception is a bug and shows its trace.
    """

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run the program, its help included, and check that its whole output was written."""
        try:
            try:
                return super().main(*arguments, **named)
            finally:
                flush()
        except OSError as error:
            fail_of_system(error)
            drop_output()
            sys.exit(1)

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except TetError as error:
            fail(str(error))
            raise typer.Exit(1) from None


app = typer.Typer(
    name="tet",
    cls=Group,
    help="Compare ways of training spiking neural networks: post an experiment, watch it, read the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(up.up)
app.command()(up.down)
app.command()(up.status)
app.command()(posting.submit)
app.command()(posting.validate)
app.command()(showing.follow)
app.command("list")(showing.list_experiments)
app.command()(showing.show)
app.command()(showing.compare)
app.command()(report_files.report)
app.command()(showing.logs)
app.command()(showing.presets)
app.command()(steering.pause)
app.command()(steering.resume)
app.command()(steering.cancel)
app.command()(steering.retry)
app.command()(posting.fork)
app.command("rerun-best")(posting.rerun_best)
app.command()(steering.verify)
app.command()(steering.delete)

if __name__ == "__main__":
    sys.exit(app())
