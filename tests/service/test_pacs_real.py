"""The whole path with Orthanc as the PACS, in a network namespace of its own: this Orthanc listens
on every interface, and here there is none but loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REAL = Path(os.environ.get("RADLOOP_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.real
def test_from_pacs_to_findings_and_back(tmp_path: Path) -> None:
    if not (shutil.which("Orthanc") or Path("/usr/sbin/Orthanc").is_file()):
        pytest.skip("Orthanc is not installed")
    if not shutil.which("storescu"):
        pytest.skip("DCMTK is not installed")
    if not (REAL / "dicom" / "head_ct_gantry_tilt").is_dir():
        pytest.skip("no real images here")
    script = Path(__file__).with_name("pacs_path.py")
    inner = f'ip link set lo up && exec "{sys.executable}" "{script}" "{tmp_path}" "{REAL}"'
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", inner]
    if subprocess.run(["unshare", "--net", "--map-root-user", "true"], check=False).returncode:
        pytest.skip("network namespaces are not allowed here")
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    print(said)
    assert {system for system, _, _ in said["results"]} == {"hemorrhage", "cardiomegaly"}
    assert not [state for state in said["jobs"] if "quarantined" in state]
    assert said["jobs"]["read done"] == 2  # what we made came to the PACS and was read by nobody
    assert {"SR", "SEG"} <= set(said["ours"])
    assert said["found"] == 1 and said["moved"][1] == 0
    assert said["fetched"] >= 28 and said["refused"] == []
