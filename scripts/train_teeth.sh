#!/usr/bin/env bash
# Trains and judges `teeth` from a folder of panoramic films with YOLO boxes named by ISO 3950.
#
#     scripts/train_teeth.sh FOLDER OUT [MINUTES]
#
# FOLDER holds images/, labels/ and data.yaml. A quarter of the patients is held out and judged.
set -euo pipefail
films=$(realpath "$1") out=$2 minutes=${3:-45}
mkdir -p "$out"
cd "$out"
radloop import yolo --images "$films/images" --labels "$films/labels" --names "$films/data.yaml" \
  --out teeth.csv
radloop split teeth.csv --folds 4 --seed 0
radloop check teeth.csv --out check || true  # its findings are for reading
radloop train teeth --cases teeth.csv --fold 0 --weights imagenet --minutes "$minutes" --out model
radloop evaluate model --cases teeth.csv --split fold0 --out report
