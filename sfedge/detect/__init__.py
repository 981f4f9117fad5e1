"""Detectors of people in frames: networks, or boxes from a file."""

from sfedge.detect.detector import Detector
from sfedge.detect.registry import DETECTORS, build_detector

__all__ = ["DETECTORS", "Detector", "build_detector"]
