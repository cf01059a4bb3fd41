"""Metadata of the distribution; build system and tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "pyss" / "__init__.py").read_text("utf-8"))
assert VERSION is not None

# Only where wheels exist: no installation of pyss may ever need a compiler.  Without them pyss runs
# on the interpreter's own means.
WHEELS = (
    "platform_python_implementation == 'CPython' and ("
    "(sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == 'aarch64'))"
    " or (sys_platform == 'darwin' and (platform_machine == 'x86_64' or platform_machine == 'arm64'))"
    " or (sys_platform == 'win32' and platform_machine == 'AMD64'))"
)

setup(
    name="pyss",
    version=VERSION.group(1),
    description="A portable Shadowsocks relay on the standard library's selectors, with a pure-Python crypto fallback",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    author="the pyss authors",
    python_requires=">=3.9",
    packages=find_packages(include=["pyss", "pyss.*"]),
    package_data={"pyss": ["py.typed"]},
    install_requires=[
        f"cryptography>=41; {WHEELS}",
        f"pycryptodome>=3.19; {WHEELS}",
        "h11>=0.14",
    ],
    extras_require={
        "qr": ["segno>=1.5"],
        "dns": ["dnspython>=2.3"],
        # Windows has an icon of its own.
        "tray": ["pystray>=0.19.4; sys_platform != 'win32'", "pillow>=9; sys_platform != 'win32'"],
        "scan": [
            # The last one with wheels for 3.9; what came after would be compiled there.
            *("zxing-cpp>=2.3,<3; python_version < '3.10'", "zxing-cpp>=2.3; python_version >= '3.10'", "pillow>=9"),
        ],
        "test": [
            *("pytest>=7.4", "pytest-xdist>=3.5", "hypothesis>=6.80", "segno>=1.5", "dnspython>=2.3", "setuptools>=71"),
            *(f"{package}; {WHEELS}" for package in ("aioquic>=1.2", "pillow>=9")),
            f"zxing-cpp>=2.3; python_version >= '3.10' and {WHEELS}",
        ],
        "lint": ["ruff==0.17.6"],
        "types": ["mypy==2.4.1", "dnspython>=2.3"],
    },
    entry_points={
        "console_scripts": [
            "pyss = pyss.app.cli:main",
            "sslocal = pyss.app.cli:main_sslocal",
            "ssserver = pyss.app.cli:main_ssserver",
        ],
        "gui_scripts": ["pyss-tray = pyss.desktop.tray_main:main"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: End Users/Desktop",
        "Intended Audience :: System Administrators",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: Implementation :: CPython",
        "Programming Language :: Python :: Implementation :: PyPy",
        "Topic :: Internet :: Proxy Servers",
    ],
)
