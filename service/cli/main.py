"""`tet`, the command line. Each command is a function in another module of this package."""

import sys

import typer

from service.cli import posting, showing, steering, up
from service.cli.output import fail
from service.errors import TetError


class Group(typer.core.TyperGroup):
    """A group of commands that prints the project's own errors as one message, with exit status 1.

    Any other exception is a bug and shows its trace.
    """

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
