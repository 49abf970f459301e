"""The interface of pose networks: crops in, heatmaps or decoded keypoints out, whichever library runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.errors import RSGNetError
from rsgnet.inference.ownership import Ownership
from rsgnet.inference.runtime.outputs import DecodedOutput, HeatmapOutput, InnerMaps, SimccOutput


@dataclass(frozen=True)
class NetworkCapabilities:
    """What a pose network does by itself, and what it can give.

    Attributes:
        export_options: What its file does inside: the flip test, decoding, arithmetic in 8 bits. All are False for a
            network that does not come from an exported file.
        gives_candidates: Whether its outputs hold candidates.
        shows_inner_maps: Whether `PoseNetwork.inspect` gives the maps of a crop.
    """

    export_options: ExportOptions = field(default_factory=ExportOptions)
    gives_candidates: bool = False
    shows_inner_maps: bool = False


class PoseNetwork(ABC):
    """A pose network that is ready to run. Derive from it to run a network of your own in `PoseEstimator`.

        class MyNetwork(PoseNetwork):
            config = PoseConfig("mine")

            def run(self, crops):
                return HeatmapOutput(my_heatmaps(crops))

    Attributes:
        config: What the network was built with.
        capabilities: What callers may expect of it.
        ownership: Turns its output into probabilities; None where `rsgnet calibrate` has not been run on it.
        path: The file of its weights; None where it has none.
    """

    config: PoseConfig
    capabilities: NetworkCapabilities = NetworkCapabilities()
    ownership: Ownership | None = None
    path: Path | None = None

    @abstractmethod
    def run(self, crops: NDArray[np.uint8]) -> HeatmapOutput | SimccOutput | DecodedOutput:
        """Runs the network on crops.

        Args:
            crops: (B, H, W, 3) RGB of the size in `config.crop`; B may be 0.

        Returns:
            A `DecodedOutput` with `second_scores` where `capabilities.export_options.decoding` is True, else a
            `HeatmapOutput` or a `SimccOutput`.

        Raises:
            WeightsError: The network gives other shapes than its config promises, or numbers that are not finite.
        """

    def inspect(self, crop: NDArray[np.uint8]) -> InnerMaps:
        """Returns the maps that lead to the pose in one (H, W, 3) RGB crop.

        Raises:
            RSGNetError: `capabilities.shows_inner_maps` is False.
        """
        raise RSGNetError(f"{self.path or type(self).__name__}: shows no inner maps; export it without --with-decoding")

    def resolve_flip_test(self, requested: bool | None) -> bool:
        """Returns whether outputs are averaged with those of the mirrored crops.

        Args:
            requested: What the user asked for; None for what the file does inside, or else what the config says.

        Raises:
            RSGNetError: The request contradicts what the network's file does inside.
        """
        options = self.capabilities.export_options
        if not (options.flip_test or options.decoding):
            return self.config.decode.flip_test if requested is None else requested
        if requested is not None and requested != options.flip_test:
            inside = "has the flip test inside" if options.flip_test else "decodes inside, without the flip test"
            raise RSGNetError(f"{self.path or 'the network'} {inside}: export it again with other options")
        return options.flip_test
