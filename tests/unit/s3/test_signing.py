"""How uploads are signed: with the recorded checksum, and never by reading the body again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

botocore = pytest.importorskip("botocore")
signing = pytest.importorskip("archiver.s3.signing", exc_type=ImportError)
exceptions = pytest.importorskip("botocore.exceptions")
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(DIGESTS)
def test_a_checksum_is_written_as_s3_writes_it(sha256: str) -> None:
    """In base64, of the digest itself, and back."""
    assert signing.from_base64(signing.to_base64(sha256)) == sha256


@pytest.mark.parametrize("version", ["s3v4", "v4"])
def test_our_signer_takes_the_place_of_the_usual_one(version: str) -> None:
    """It is Signature Version 4 but for the hash of the body."""
    assert signing._choose(version) == "archiver-s3v4"


def test_other_signers_that_hash_nothing_are_left_alone() -> None:
    """Signature Version 2, and none."""
    assert signing._choose("s3") is None
    assert signing._choose(botocore.UNSIGNED) is None


@pytest.mark.parametrize("version", ["s3v4a", "v4-s3express", "something"])
def test_a_signer_that_would_read_the_body_is_refused(version: str) -> None:
    """A body is read as it is sent; it is no file."""
    with pytest.raises(exceptions.UnsupportedSignatureVersionError):
        signing._choose(version)
