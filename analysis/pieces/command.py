"""What every script does around its work: the packages it needs, and errors as one line."""
import logging
import os
import sys

PACKAGES = "python3-xarray python3-netcdf4 python3-matplotlib"
DEBIAN = "/usr/bin/python3"


class Unusable(Exception):
    """A file or a wish that cannot be served. The text is one line: what is wrong and what to do."""


def need_packages():
    """End with one line where xarray, NetCDF or matplotlib are missing. A Python of another maker does not see Debian's
    packages, so Debian's own Python is tried before."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it keeps its fonts is not the user's matter
    try:
        import matplotlib  # noqa: F401
        import netCDF4  # noqa: F401
        import xarray  # noqa: F401
    except ImportError as error:
        other = os.path.realpath(sys.executable) != os.path.realpath(DEBIAN)
        if other and os.access(DEBIAN, os.X_OK):
            os.execv(DEBIAN, [DEBIAN, *sys.argv])
        sys.exit(f"{program()}: {error}: apt-get install {PACKAGES}")


def program():
    return os.path.basename(sys.argv[0])


def run_main(main):
    """Call main and turn what the user can mend into one line and exit code 1."""
    try:
        main()
    except Unusable as error:
        sys.exit(f"{program()}: {error}")
    except OSError as error:
        sys.exit(f"{program()}: {error.filename or ''}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(f"{program()}: interrupted")
