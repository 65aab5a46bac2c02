#!/usr/bin/env bash
# Trains and measures the shipped models from the Wingspan CTR films (MIT), as they were.
#
#     scripts/train_shipped.sh WINGSPAN OUT
#
# WINGSPAN holds images/, masks/{heart,left_lung,right_lung}/ and ctr.csv. The minutes are those of
# two processor cores; `--minutes` follows the clock, so another machine gives other weights.
set -euo pipefail
films=$(realpath "$1") out=$2
mkdir -p "$out"
cd "$out"
radloop import masks --images "$films/images" --mask "heart=$films/masks/heart" \
  --mask "left_lung=$films/masks/left_lung" --mask "right_lung=$films/masks/right_lung" \
  --table "$films/ctr.csv" --patient-from '^(1\.2\.410\.200048\.[0-9]+|.+)\.' --out all.csv
# Its heart and left-lung masks are exchanged (`radloop check` finds it).
grep -v '^1\.2\.410\.200048\.10757\.20170517111459,' all.csv > folds.csv
cp folds.csv cases.csv
radloop split folds.csv --folds 3 --seed 1 --stratify 'value:ctr>0.5'
radloop split cases.csv --fractions .9,.1 --seed 1 --stratify 'value:ctr>0.5'
radloop check cases.csv --out check || true  # its findings are for reading

# Three models on two thirds each: the cross-validation, and the teachers.
teachers=()
for fold in 0 1 2; do
  radloop train cardiomegaly --cases folds.csv --fold $fold --minutes 14 --out fold$fold
  radloop evaluate fold$fold --cases folds.csv --split fold$fold --out report-fold$fold || [ $? -eq 3 ]
  teachers+=(--teacher fold$fold)
done
radloop pool report-fold0 report-fold1 report-fold2 --out cross-validation

radloop train cardiomegaly --cases cases.csv --minutes 30 "${teachers[@]}" --out cardiomegaly
radloop train cardiomegaly --cases cases.csv --minutes 26 "${teachers[@]}" --preset fcdensenet \
  --out cardiomegaly-fcdensenet
