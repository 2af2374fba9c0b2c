"""Client: opens a bucket. What it needs is an extra, and imported only here."""

from collections.abc import Iterator
from contextlib import contextmanager

from archiver.errors import ConfigurationError
from archiver.location import BucketUrl
from archiver.s3.objects import Objects
from archiver.settings import BucketSettings

EXTRA = "an archive in a bucket needs an extra: pip install 'archiver[s3]'"
"""What to do where the libraries for buckets are not there."""


@contextmanager
def open_objects(url: BucketUrl, settings: BucketSettings | None = None) -> Iterator[Objects]:
    """Open the place of an archive in a bucket.

    The credentials, and what else `settings` leave open, are those that botocore finds: in the
    environment, in profiles, by SSO, from the role of an instance or a container. Certificates are
    verified against the authorities that `AWS_CA_BUNDLE` or the profile names, else those of
    `SSL_CERT_FILE`, else botocore's own.

    Raises:
        ConfigurationError: if aiobotocore is not installed, there is no such bucket, or the
            credentials or the endpoint are wrong.
        StorageError: if the store cannot be reached, or fails.
    """
    try:
        import aiobotocore  # noqa: F401, PLC0415 (an extra, which most archives do without)
    except ImportError:
        raise ConfigurationError(EXTRA) from None
    from archiver.s3.session import open_bucket  # noqa: PLC0415

    with open_bucket(url, settings or BucketSettings()) as objects:
        yield objects
