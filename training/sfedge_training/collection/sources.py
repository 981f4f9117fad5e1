"""The sources by the files that they are handed out as, and the folder that each becomes."""

from collections.abc import Mapping
from dataclasses import dataclass

from sfedge_training.collection import bodies, faces, hand_sources, points
from sfedge_training.collection.item import Reader


@dataclass(frozen=True, slots=True)
class Source:
    """One of them."""

    folder: str
    read: Reader


SOURCES: Mapping[str, Source] = {
    "gesture-crops.zip": Source("hagrid-crops", hand_sources.crops),
    "sign-digits.zip": Source("sign-digits", hand_sources.digits),
    "xsign-frames.zip": Source("crossed-arms", bodies.crossed_arms),
    "no-gesture-landmarks.json": Source("idle-hands", points.idle_hands),
    "asl-landmarks.npz": Source("sign-letters", points.letters),
    "faces-fairface.zip": Source("fairface", faces.fairface),
    "faces-london-canada.zip": Source("studio-faces", faces.studio),
    "portraits-cc0.zip": Source("portraits", faces.portraits),
    "faces-synthetic-sfhq.zip": Source("generated-faces", faces.generated),
}
