# shellcheck shell=bash
# Which Debian packages Retort needs, and how those that are missing get installed.
# Sourced by jobs/quickstart.sh and tests/run.sh.

packages_build=(
  gcc libc6-dev make cmake pkg-config
  libopenmpi-dev openmpi-bin petsc-dev libscalapack-openmpi-dev libopenblas-dev libnetcdf-mpi-dev libdnnl-dev
  libprotobuf-c-dev protobuf-c-compiler libonnx-dev
  zlib1g-dev libzip-dev libcsv-dev libssl-dev
)
# Beside those, to get data sets. Where npm comes from another vendor, Debian's would be in conflict with it.
packages_data=(ca-certificates)
command -v npm >/dev/null || packages_data+=(npm)
# For the report: analysis/.
packages_report=(python3 python3-numpy python3-xarray python3-netcdf4 python3-matplotlib)
packages_test=(
  g++ clang-format-14 shellcheck netcdf-bin nco libonnx-testdata slurm-wlm munge
  python3-torch python3-onnx python3-dask python3-scipy chromium
  clang-14 libclang-rt-14-dev libomp-14-dev
)
export packages_build packages_data packages_report packages_test

# Print those of the named packages that are not installed.
packages_missing() {
  local name
  for name in "$@"; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
      installed*) ;;
      *) echo "$name" ;;
    esac
  done
}

# Say which packages are needed, and why this script does not install them: packages_refuse REASON NAME…
packages_refuse() {
  local reason=$1
  shift
  cat >&2 <<END
retort: $reason. These Debian packages are needed, or what your system calls them:
  $*
Once they are there in some other way, set RETORT_PACKAGES=skip and start this again.
END
  return 1
}

# Install those of the named packages that are missing: packages_install LOG NAME…
# Fails with one message where that cannot be done here. RETORT_PACKAGES=skip: install nothing, ask nothing.
packages_install() {
  local log=$1 as_root=()
  shift
  [ "${RETORT_PACKAGES:-}" != skip ] || return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    packages_refuse "there is no apt-get here to install packages with" "$@"
    return
  fi
  mapfile -t missing < <(packages_missing "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    # Without a terminal nobody can type sudo's password.
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      packages_refuse "packages are missing, and only root or sudo can install them" "${missing[@]}"
      return
    fi
  fi
  echo "installing ${#missing[@]} packages (log: $log): ${missing[*]}"
  mkdir -p "$(dirname "$log")"
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  # A foreign source that cannot be reached fails the update, but need not matter.
  if ! { "${as_root[@]}" update || true; "${as_root[@]}" install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    packages_refuse "apt-get could not install the packages; its log is $log" "${missing[@]}"
  fi
}
