"""Signing: the checksum that a request carries is its signed payload hash, too.

botocore would hash each body once more to sign it ("x-amz-content-sha256" of AWS Signature
Version 4).
"""

import base64
from typing import TYPE_CHECKING, Any

from botocore import UNSIGNED
from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth
from botocore.exceptions import UnsupportedSignatureVersionError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from types_aiobotocore_s3 import S3Client

_NAME = "archiver-s3v4"
_OPERATIONS = ("PutObject", "UploadPart")


class _RecordedHash(S3SigV4Auth):
    def payload(self, request: "AWSRequest") -> str:
        checksum = request.headers.get("x-amz-checksum-sha256")
        return from_base64(checksum) if checksum else super().payload(request)


AUTH_TYPE_MAPS[_NAME] = _RecordedHash


def sign_recorded_hashes(client: "S3Client") -> None:
    """Let a client sign uploads with the checksum in their headers."""
    for operation in _OPERATIONS:
        client.meta.events.register_first(f"choose-signer.s3.{operation}", _choose)


def _choose(signature_version: object, **_: object) -> Any:
    """Name our signer where botocore would use Signature Version 4.

    Version 2 ("s3") and no signature hash nothing. Others would have to read the body.
    """
    if signature_version in ("s3v4", "v4"):
        return _NAME
    if signature_version in ("s3", UNSIGNED):
        return None
    raise UnsupportedSignatureVersionError(signature_version=str(signature_version))


def to_base64(sha256: str) -> str:
    """Return a checksum as S3 writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def from_base64(checksum: str) -> str:
    """Return a checksum of S3 in hexadecimal."""
    return base64.b64decode(checksum).hex()
