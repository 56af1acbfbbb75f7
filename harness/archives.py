"""The models of endpoints that there are, unpacked from nowhere else: S3 may change, or be gone, while they serve."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.endpoint_records import Variant
from harness.errors import BadInput
from harness.hosting_request import s3_place
from harness.model_archive import make_harmless


class Archives:
    """Kept in ``folder``, by generation and variant. ``read`` gives an object's content by bucket and key."""

    def __init__(self, folder: Path, read: Callable[[str, str], bytes]) -> None:
        self.folder, self._read = folder, read
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, generation: str, variant: Variant) -> None:
        """Fetch the archive of a variant that has one.

        Raises `BadInput` where it is not there, or is no archive that can be unpacked.
        """
        path = self.path(generation, variant)
        place = s3_place(variant.model_url)
        if path is None or place is None:
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            fetched = Path(temporary) / "model.tar.gz"
            try:
                fetched.write_bytes(self._read(*place))
            except FileNotFoundError:
                raise BadInput(f"could not find model data at {variant.model_url}") from None
            try:
                make_harmless(fetched, path)
            except BadInput as error:
                raise BadInput(str(error).replace(repr(str(fetched)), repr(variant.model_url))) from error

    def path(self, generation: str, variant: Variant) -> Path | None:
        """Where its archive is kept, None where it needs none."""
        return self.folder / f"{generation}-{variant.variant_name}.tar" if variant.model_url else None

    def whole(self, generation: str, variant: Variant) -> bool:
        """Whether what the variant needs is there."""
        path = self.path(generation, variant)
        return path is None or path.is_file()

    def drop(self, generation: str) -> None:
        for path in self.folder.glob(f"{generation}-*.tar"):
            path.unlink(missing_ok=True)
