#!/usr/bin/env bash
# Trains and measures the shipped model `phantom-teeth` from drawn jaws: no film of a person is in it.
#
#     scripts/train_shipped_phantom_teeth.sh OUT
set -euo pipefail
mkdir -p "$1"
cd "$1"
radloop teeth phantom --count 240 --seed 1000 --out jaws
radloop import voc --images jaws/images --annotations jaws/boxes --out jaws.csv
radloop split jaws.csv --fractions .7,.15,.15 --seed 0
radloop train teeth --cases jaws.csv --preset tiny --epochs 60 --seed 0 --out phantom-teeth
radloop evaluate phantom-teeth --cases jaws.csv --split test --out report
