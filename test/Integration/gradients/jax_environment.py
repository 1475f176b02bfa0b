"""Makes a Python environment with JAX in FOLDER, if it is not there.

usage: jax_environment.py FOLDER
"""
import os
import subprocess
import sys
import venv

# The last release for Debian 12's Python 3.11.
JAX = "jax==0.10.2"


def main():
    folder = sys.argv[1]
    stamp = os.path.join(folder, JAX)
    if os.path.exists(stamp):
        return
    venv.create(folder, clear=True, with_pip=True)
    subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q",
                    "--disable-pip-version-check", JAX], check=True)
    open(stamp, "w").close()


if __name__ == "__main__":
    main()
