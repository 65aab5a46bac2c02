"""`CaseReader`: a model that stays open, for cases that come one by one."""

from __future__ import annotations

from pathlib import Path

from radloop.findings.finding import Prediction
from radloop.inference.engine import open_engine
from radloop.inference.heatmaps import HeatMaps
from radloop.inference.pipeline import Item, run_pipeline
from radloop.inference.predict import PredictOptions, prediction_of
from radloop.systems.model import Model


class CaseReader:
    """Opens the engine once and reads with it as `predict` does, one case a call.

    Raises InputError for an unknown engine or a device that is not there, ModelError for weights
    that were altered.
    """

    def __init__(self, model: Model, options: PredictOptions | None = None) -> None:
        options = options or PredictOptions()
        self.model, self.options = model, options
        self._engine = open_engine(
            model, options.engine, options.device, options.batch, options.workers
        )
        self._cam = HeatMaps(model) if options.pictures else None

    def read(self, item: Item, out: Path) -> Prediction:
        """What the model says of one case. Its files are written below `out`; the prediction names
        them relative to it. What cannot be read is a refused verdict. Raises WriteError."""
        (prediction,) = run_pipeline(
            self.model,
            self._engine,
            [item],
            lambda result: prediction_of(self.model, result, out, self._cam),
            workers=1,
            settings={"members": self.options.members},
            even_out=self.options.even_out,
        )
        return prediction
