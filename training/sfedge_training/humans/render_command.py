"""`sfedge-train render`: pictures of synthetic people."""

from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("humans", type=_FOLDER)
@click.argument("root", type=_FOLDER)
@click.option(
    "--datasets",
    metavar="NAME,…",
    help="Which to make. [affectnet, hagrid, ego4d_lam, gazefollow]",
)
@click.option("--count", default=8000, show_default=True, help="Training samples a dataset.")
@click.option("--val", default=300, show_default=True, help="Validation samples a dataset.")
@click.option("--test", default=1000, show_default=True, help="Test samples a dataset.")
@click.option("--seed", default=0, show_default=True, help="Decides every picture.")
@click.option("--people", default=48, show_default=True, help="Different people who are seen.")
@click.option("--side", default=256, show_default=True, help="Pixels of the shorter side.")
@click.option("--workers", default=2, show_default=True, help="Processes that render.")
def render(humans: Path, root: Path, datasets: str | None, seed: int, **numbers: int) -> None:
    """Write pictures of synthetic people to ROOT, in the native layouts of four datasets.

    HUMANS holds MakeHuman's data, see docs/humans.md. Expressions, gestures and where people look
    are rendered; relations are not.
    """
    from sfedge_training.drawings import mark_made
    from sfedge_training.humans import RENDERED, write_renderings

    named = (name.strip() for name in (datasets or ",".join(RENDERED)).split(","))
    names = [name for name in named if name]
    write_renderings(humans, root, seed=seed, datasets=names, **numbers)
    mark_made(root, {**numbers, "seed": seed, "datasets": names, "people_are": "rendered"})
    click.echo(f"Renderings are in {root}")
