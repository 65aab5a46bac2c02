#!/usr/bin/env bash
# Trains the shipped model from the Wingspan CTR films (MIT), as they were trained.
#
#     scripts/train_shipped.sh WINGSPAN OUT
#
# WINGSPAN holds images/, masks/{heart,left_lung,right_lung}/ and ctr.csv. The minutes are those of
# two processor cores; `--minutes` follows the clock, so another machine gives other weights.
set -euo pipefail
films=$1 out=$2
mkdir -p "$out"
radloop import masks --images "$films/images" --mask "heart=$films/masks/heart" \
  --mask "left_lung=$films/masks/left_lung" --mask "right_lung=$films/masks/right_lung" \
  --table "$films/ctr.csv" --patient-from '^(1\.2\.410\.200048\.[0-9]+|.+)\.' --out "$out/cases.csv"
radloop split "$out/cases.csv" --fractions .85,.15 --seed 1 --stratify 'value:ctr>0.5'
radloop check "$out/cases.csv" --out "$out/check"
# Two cosine cycles, the second from the first one's best weights.
radloop train cardiomegaly --cases "$out/cases.csv" --out "$out/first" --minutes 32
radloop train cardiomegaly --cases "$out/cases.csv" --out "$out/cardiomegaly" \
  --weights "$out/first" --minutes 25 --seed 1
