#!/usr/bin/env bash
# Trains and measures the shipped model `hemorrhage` from the CT-ICH scans of PhysioNet (CC BY 4.0).
#
#     scripts/train_shipped_hemorrhage.sh HEAD_CT OUT
#
# HEAD_CT holds images/<patient>/<slice>.jpg and slices.csv. Nothing is bounded by the clock: another
# machine gives the same model. On one thread a fold takes about eight minutes. The extra `pretrained`
# brings the ImageNet weights.
set -euo pipefail
scans=$(realpath "$1") out=$2
mkdir -p "$out"
cd "$out"
export OMP_NUM_THREADS=1
radloop import slices --images "$scans/images" --table "$scans/slices.csv" \
  --case-column PatientNumber --slice-column SliceNumber --any any \
  --label epidural=Epidural --label intraparenchymal=Intraparenchymal \
  --label intraventricular=Intraventricular --label subarachnoid=Subarachnoid \
  --label subdural=Subdural --out cases.csv
radloop split cases.csv --folds 5 --stratify any --seed 0
radloop check cases.csv --out check || true  # its findings are for reading

# The joint CNN-RNN, the same encoder slice by slice, and a 3D network, on the same folds.
for preset in strong slice-cnn cnn3d; do
  weights=imagenet
  [ "$preset" = cnn3d ] && weights=none
  members=()
  for fold in 0 1 2 3 4; do
    radloop train hemorrhage --cases cases.csv --preset "$preset" --weights "$weights" \
      --fold $fold --seed 0 --out "$preset-$fold"
    members+=("$preset-$fold")
  done
  mkdir -p "$preset"
  radloop ensemble "${members[@]}" --cases cases.csv --out "$preset/hemorrhage" \
    --report "cross-validation-$preset"
done
for other in slice-cnn cnn3d; do  # does the sequence help?
  radloop compare "cross-validation-$other" cross-validation-strong --out "strong-against-$other"
done

# From the labels of scans alone: the same table without the slices.
python -c 'import csv, sys
rows = list(csv.DictReader(open("cases.csv")))
names = [name for name in rows[0] if name != "slices"]
writer = csv.DictWriter(open("scans-alone.csv", "w", newline=""), names, extrasaction="ignore")
writer.writeheader()
writer.writerows(rows)'
for fold in 0 1 2 3 4; do
  radloop train hemorrhage --cases scans-alone.csv --preset strong --weights imagenet \
    --fold $fold --seed 0 --out weak-$fold
done
radloop ensemble weak-{0,1,2,3,4} --cases cases.csv --out weak/hemorrhage \
  --report cross-validation-weak
