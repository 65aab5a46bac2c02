"""Predictions as JSON: one object a case, one line each in `predictions.jsonl`.

The keys are a contract with other programs (`docs/reference`): optional keys are absent, never
null. Reading ignores keys it does not know, so that a newer version may add some.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

from radloop.errors import InputError, WriteError
from radloop.findings.finding import Code, Finding, Measurement, ModelRef, Prediction
from radloop.images.verdict import Verdict

FILE_NAME = "predictions.jsonl"
PARTIAL_NAME = FILE_NAME + ".partial"
_T = TypeVar("_T")


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """The contract's object, of plain Python values (numpy numbers and arrays are converted)."""
    model = prediction.model
    return {
        "case_id": prediction.case_id,
        "patient_id": prediction.patient_id,
        "system": prediction.system,
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "verdict": prediction.verdict.to_json(),
        "findings": [_finding_to_json(finding) for finding in prediction.findings],
        "files": dict(prediction.files),
        "seconds": {name: float(value) for name, value in prediction.seconds.items()},
    }


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    code, measured = finding.code, finding.measurement
    result: dict[str, Any] = {
        "name": finding.name,
        "code": {"value": code.value, "scheme": code.scheme, "meaning": code.meaning},
        "probability": float(finding.probability),
        "positive": bool(finding.positive),
        "threshold": float(finding.threshold),
        "where": {key: _plain(value) for key, value in finding.where.items()},
    }
    if measured is not None:
        result["measurement"] = {
            "name": measured.name,
            "value": float(measured.value),
            "unit": measured.unit,
        }
        for key, bound in (("low", measured.low), ("high", measured.high)):
            if bound is not None:
                result["measurement"][key] = float(bound)
    return result


def _plain(value: Any) -> Any:
    """numpy scalars and arrays as Python numbers and lists; a tuple as a list."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def prediction_from_json(data: Any) -> Prediction:
    """The prediction of a contract object; `InputError` names the key that is missing or wrong."""
    case = _mapping(data, "prediction")
    model = _get(case, "model", _mapping)
    verdict = _get(case, "verdict", _mapping)
    return Prediction(
        case_id=_get(case, "case_id", _text),
        patient_id=_get(case, "patient_id", _text),
        system=_get(case, "system", _text),
        model=ModelRef(
            _get(model, "name", _text), _get(model, "version", _text), _get(model, "sha256", _text)
        ),
        verdict=Verdict(
            _get(verdict, "status", _status),
            _get(verdict, "code", _text),
            tuple(_text(message, "messages") for message in _get(verdict, "messages", _list)),
        ),
        findings=tuple(_finding_from_json(item) for item in _get(case, "findings", _list)),
        files={key: _text(name, key) for key, name in _get(case, "files", _mapping).items()},
        seconds={key: _number(s, key) for key, s in _get(case, "seconds", _mapping).items()},
    )


def _finding_from_json(data: Any) -> Finding:
    finding = _mapping(data, "finding")
    code = _get(finding, "code", _mapping)
    measured = finding.get("measurement")
    return Finding(
        name=_get(finding, "name", _text),
        code=Code(
            _get(code, "value", _text), _get(code, "scheme", _text), _get(code, "meaning", _text)
        ),
        probability=_get(finding, "probability", _number),
        positive=_get(finding, "positive", _boolean),
        threshold=_get(finding, "threshold", _number),
        where=dict(_get(finding, "where", _mapping)),
        measurement=None if measured is None else _measurement_from_json(measured),
    )


def _measurement_from_json(data: Any) -> Measurement:
    measured = _mapping(data, "measurement")
    low, high = (
        None if measured.get(key) is None else _number(measured[key], key)
        for key in ("low", "high")
    )
    return Measurement(
        _get(measured, "name", _text),
        _get(measured, "value", _number),
        _get(measured, "unit", _text),
        low,
        high,
    )


def _get(data: Mapping[str, Any], key: str, kind: Callable[[Any, str], _T]) -> _T:
    if key not in data:
        raise InputError(f"The key '{key}' is missing.")
    return kind(data[key], key)


def _is(value: Any, key: str, types: type | tuple[type, ...], what: str) -> Any:
    if not isinstance(value, types):
        raise InputError(f"'{key}' is not {what}.")
    return value


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    return dict(_is(value, key, dict, "an object"))


def _list(value: Any, key: str) -> list[Any]:
    return list(_is(value, key, list, "a list"))


def _text(value: Any, key: str) -> str:
    return str(_is(value, key, str, "a text"))


def _boolean(value: Any, key: str) -> bool:
    return bool(_is(value, key, bool, "true or false"))


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool):
        raise InputError(f"'{key}' is not a number.")
    return float(_is(value, key, (int, float), "a number"))


def _status(value: Any, key: str) -> Any:
    if value not in ("accepted", "warned", "refused"):
        raise InputError(f"'{key}' is not accepted, warned or refused.")
    return value


class PredictionLog:
    """Writes `predictions.jsonl` line by line, as the cases come.

    The lines go to `predictions.jsonl.partial`, each flushed at once, and the file takes its name
    when the `with` block ends well. When it does not (an error, an interruption, a kill), the
    partial file keeps what was done, and an older `predictions.jsonl` stays as it was.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.partial = folder / PARTIAL_NAME
        self._file: TextIO | None = None

    def __enter__(self) -> PredictionLog:
        try:
            self.partial.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.partial.open("w", encoding="ascii", newline="\n")
        except OSError as error:
            raise self._write_error(error) from error
        return self

    def append(self, prediction: Prediction) -> None:
        if self._file is None:
            raise ValueError("PredictionLog is used outside its `with` block")
        line = json.dumps(prediction_to_json(prediction), allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise self._write_error(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
            if kind is None:
                self.partial.replace(self.path)
        except OSError as failed:
            if kind is None:  # else the first error is the one to report
                raise self._write_error(failed) from failed

    def _write_error(self, error: OSError) -> WriteError:
        why = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or "unknown")
        return WriteError(
            f"{self.partial.name} could not be written: {why}.",
            "Make room or choose another folder with --out; the cases done so far are kept there.",
        )


def read_predictions(source: Path) -> list[Prediction]:
    """The predictions of a folder that `predict` wrote, or of one file, in file order.

    A `.partial` file, named explicitly, is read up to its last whole line: the line that a kill
    cut off is dropped. Errors: `InputError` for a missing file and, with the line number, for a
    line that is not a prediction.
    """
    path = source / FILE_NAME if source.is_dir() else source
    if not path.exists():
        raise _missing(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} cannot be read as UTF-8 text.", "Give the folder that predict wrote."
        ) from error
    lines = text.split("\n")  # not splitlines(), which also splits at U+2028 inside a text
    if path.name == PARTIAL_NAME:
        lines = lines[:-1]
    return [
        _read_line(line, number, path.name)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _missing(path: Path) -> InputError:
    if path.with_name(PARTIAL_NAME).exists():
        return InputError(
            f"The prediction in {path.parent.name}/ was interrupted.",
            f"Run it again, or give the file {PARTIAL_NAME} for the cases it had done.",
        )
    return InputError(
        f"There is no {FILE_NAME} in '{path.parent.name or path.parent}'.",
        "Give the folder that `radloop predict ... --out FOLDER` wrote.",
    )


def _read_line(line: str, number: int, name: str) -> Prediction:
    remedy = "Repair or remove this line, or run predict again."
    try:
        return prediction_from_json(json.loads(line))
    except json.JSONDecodeError as error:
        raise InputError(f"Line {number} of {name} is not JSON.", remedy) from error
    except InputError as error:
        raise InputError(
            f"Line {number} of {name} is not a prediction: {error.what}", remedy
        ) from error
