"""Features of a frozen encoder, computed once and stored: training then opens no pictures.

A store is a folder of safetensors shards, and their headers are its index. Each feature is named by
a hash of all that made it: encoder, preprocessing, precision, picture and crop. What was made
otherwise is therefore not found, and never taken.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sfedge.core.errors import ConfigError, DataError, OutputError
from sfedge.core.preprocess import InputSpec, crop, encoder_input
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture
from sfedge_training.model.encoder import Encoder

Precision = Literal["fp32", "bf16"]
_WAY = "decoded in full, cropped to whole pixels, stretched with bicubic"  # as at run time
_SHARD = 256 << 20  # bytes of features in a shard; what a killed run computes again, at most
_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What makes a picture's features; where anything differs, they are others."""

    encoder: str  # a name in sfedge_training.model.encoders.ENCODERS
    layer: int  # block whose tokens are used, from the end
    weights: str  # sha256 of the encoder's tensors
    input: InputSpec
    precision: Precision  # of the encoder's pass, and of what is stored
    way: str = _WAY

    @property
    def dtype(self) -> torch.dtype:
        """Of what is stored."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def text(self) -> str:
        """As JSON, always the same for the same origin."""
        return json.dumps(asdict(self), sort_keys=True)


class FeatureStore:
    """The features of one origin; each is [G*G, d_v] and stands for one view of one picture.

    They hold for training without augmentation alone. They are large: in bfloat16 a view takes
    24 * 24 * 1024 * 2 bytes = 1.18 MB from CLIP ViT-L/14 at 336 pixels, so 100,000 views take
    118 GB, and twice that in float32.

    A picture is known by its absolute path, size and time of change: a moved or changed one is
    computed anew. What is outdated stays in its folder until someone removes it. Processes that
    prepare batches open the shards themselves, mapped into memory.

    Args:
        folder: of any number of stores; each has a folder of its own in it.
        origin: what makes the features.

    Raises:
        DataError: a shard is damaged.
    """

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.origin = origin
        self._digest = _sha256(origin.text())
        self.folder = folder / f"{origin.encoder}-{self._digest[:16]}"
        self._shards = self._found()  # of each feature's name

    def __len__(self) -> int:
        return len(self._shards)

    def name(self, sample: Sample) -> str:
        """What the feature of a sample's view is called.

        Raises:
            DataError: there is no such picture.
        """
        try:
            file = sample.image.stat()
        except OSError as error:
            raise DataError(
                f"this picture cannot be read ({error})", where=str(sample.image)
            ) from error
        picture = [str(sample.image.absolute()), file.st_size, file.st_mtime_ns]
        view = sample.view
        shown = [sample.frame, sample.upright, view.x1, view.y1, view.x2, view.y2]
        return _sha256(json.dumps([self._digest, *picture, *shown]))

    def get(self, sample: Sample) -> Tensor:
        """The features [G*G, d_v] of a sample's view, in the precision they are stored in.

        Raises:
            DataError: they are not in the store, or their shard is damaged.
        """
        name = self.name(sample)
        if name not in self._shards:
            raise DataError(
                "no features of this view are stored",
                where=str(sample.image),
                fix="If the picture changed meanwhile, start the training again.",
            )
        shard = self._shards[name]
        with _explained(shard):
            feature: Tensor = _opened(shard).get_tensor(name)  # type: ignore[no-untyped-call]
        return feature

    def fill(
        self,
        samples: Sequence[Sample],
        encoder: Encoder,
        *,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        """Compute and store what is missing of the samples' features.

        Shards appear when they are whole, so a run that was killed goes on where it was, but for
        the last shard. Processes that `accelerate` has started share the work.

        Args:
            samples: any; those that show the same view share a feature.
            encoder: that of the origin; it is moved to `device`.
            device: where to compute.
            workers: processes that read pictures.

        Raises:
            DataError: a picture cannot be read.
            OutputError: the features do not fit on the disk, or cannot be written.
        """
        named = {self.name(sample): sample for sample in samples}
        missing = {name: of for name, of in named.items() if name not in self._shards}
        if not missing:
            return
        numbers = len(missing) * encoder.grid**2 * encoder.width
        _check_room(self.folder, numbers * self.origin.dtype.itemsize)
        state = PartialState(cpu=device.type == "cpu")
        own = dict(islice(missing.items(), state.process_index, None, state.num_processes))
        state.wait_for_everyone()  # before anything appears: all know the same to be missing
        self._compute(own, encoder.to(device).eval(), device, workers)
        state.wait_for_everyone()
        self._shards = self._found()

    @torch.inference_mode()
    def _compute(
        self, views: Mapping[str, Sample], encoder: Encoder, device: torch.device, workers: int
    ) -> None:
        loader = DataLoader(
            _Views(list(views.values()), encoder.input),
            batch_size=_BATCH,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        dtype, is_main = self.origin.dtype, PartialState().is_main_process
        names, held, size = iter(views), dict[str, Tensor](), 0
        with tqdm(total=len(views), desc="features", unit="view", disable=not is_main) as bar:
            for images in loader:
                with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
                    features = encoder(images.to(device, non_blocking=True))
                for feature in features.to("cpu", dtype):
                    held[next(names)] = feature.clone()
                    size += feature.nbytes
                if size >= _SHARD:
                    self._write(held)
                    held, size = {}, 0
                bar.update(len(images))
        if held:
            self._write(held)

    def _write(self, features: Mapping[str, Tensor]) -> None:
        """Add a shard; two runs that fill one store do not disturb each other."""
        shard = self.folder / f"{_sha256(' '.join(features))[:16]}.safetensors"
        part = shard.with_suffix(f".{os.getpid()}.part")
        try:
            save_file(dict(features), part, {"origin": self.origin.text()})
            part.replace(shard)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"features cannot be written ({error})", where=str(shard)) from error
        finally:
            part.unlink(missing_ok=True)

    def _found(self) -> dict[str, Path]:
        shards = sorted(self.folder.glob("*.safetensors"))
        return {name: shard for shard in shards for name in _names(shard)}


def filled_store(
    folder: Path,
    encoder: Encoder,
    samples: Sequence[Sample],
    *,
    encoder_name: str,
    layer: int,
    precision: Precision,
    device: torch.device,
    workers: int = 0,
) -> FeatureStore:
    """The store of a frozen encoder in which the features of all `samples` are.

    Args:
        folder: of any number of stores, made where it is missing.
        encoder: it is moved to `device`.
        samples: whose views training will ask for, without augmentation.
        encoder_name: a name in sfedge_training.model.encoders.ENCODERS.
        layer: block of the encoder, from the end.
        precision: that of the training's forward pass.
        device: where what is missing is computed.
        workers: processes that read pictures.

    Raises:
        ConfigError: the encoder learns.
        DataError: a shard is damaged, or a picture cannot be read.
        OutputError: the features do not fit on the disk, or cannot be written.
    """
    if any(parameter.requires_grad for parameter in encoder.parameters()):
        raise ConfigError("the encoder learns: its features change", where=str(folder))
    origin = Origin(
        encoder=encoder_name,
        layer=layer,
        weights=weights_sha256(encoder),
        input=encoder.input,
        precision=precision,
    )
    store = FeatureStore(folder, origin)
    store.fill(samples, encoder, device=device, workers=workers)
    return store


def weights_sha256(module: nn.Module) -> str:
    """A hash of all that a module's state holds: names, types, shapes and values."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        hashed.update(values.view(torch.uint8).numpy())
    return hashed.hexdigest()


class _Views(Dataset[NDArray[np.float32]]):
    """Samples' views as the encoder sees them when nothing is augmented."""

    def __init__(self, samples: Sequence[Sample], spec: InputSpec) -> None:
        self.samples, self.spec = samples, spec

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        sample = self.samples[index]
        return encoder_input(crop(read_picture(sample), sample.view), self.spec)


@cache
def _opened(shard: Path) -> safe_open:
    """A shard, mapped into this process's memory for good."""
    return safe_open(shard, framework="pt")


def _names(shard: Path) -> list[str]:
    with _explained(shard), safe_open(shard, framework="pt") as opened:
        return list(opened.keys())


@contextmanager
def _explained(shard: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"these features cannot be read ({error})",
            where=str(shard),
            fix="Remove this file: what it held is computed again.",
        ) from error


def _check_room(folder: Path, needed: int) -> None:
    """Make the folder, and refuse what does not fit on its disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"features cannot be written ({error})", where=str(folder)) from error
    if needed > free:
        raise OutputError(
            f"{needed / 1e9:,.1f} GB of features do not fit, {free / 1e9:,.1f} GB are free",
            where=str(folder),
            fix="Name a folder on a larger disk, choose fewer datasets, or train without a store.",
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
