"""The datasets, each read from its native layout."""

from collections.abc import Callable
from pathlib import Path

from sfedge_training.data import affectnet, ego4d_lam, gazefollow, hagrid, pisc
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data.sample import Dataset, Split

LOADERS: dict[str, Callable[[Path, Split], Dataset]] = {
    affectnet.NAME: affectnet.load,
    hagrid.NAME: hagrid.load,
    ego4d_lam.NAME: ego4d_lam.load,
    gazefollow.NAME: gazefollow.load,
    pisc.NAME: pisc.load,
    folder.NAME: folder.load,
}
