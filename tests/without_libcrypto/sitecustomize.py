"""Put on PYTHONPATH by `tox -e pure`: for this interpreter and all that it starts, libcrypto is not there."""

import sys

sys.modules["pyss.crypto.backend_libcrypto"] = None  # type: ignore[assignment]  # what makes its import fail
