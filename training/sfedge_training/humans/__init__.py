"""Pictures of synthetic people: MakeHuman's bodies, posed, dressed, lit and photographed."""

from sfedge_training.humans.write_renderings import RENDERED, write_renderings

__all__ = ["RENDERED", "write_renderings"]
