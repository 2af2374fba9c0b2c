"""Faults: what an error of botocore or of a connection means, for people."""

import aiohttp
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from archiver.errors import ArchiverError, ConfigurationError, StorageError
from archiver.http.errors import describe_error
from archiver.s3.objects import ChecksumRefused, NotSupported
from archiver.units import printable

TROUBLE = (
    botocore.BotoCoreError,
    botocore.ClientError,
    ResponseParserError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)
"""Whatever a request to a store can raise."""

_PASSING = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
}
_NO_CREDENTIALS = (
    "no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
)
_WRONG_KEY = "the store does not know the access key: check the credentials"
_EXPIRED = "the credentials have expired: renew them"
_DENIED = "access denied: the credentials do not allow {operation}"
_ELSEWHERE = "the bucket is elsewhere: set AWS_DEFAULT_REGION, or correct the endpoint URL"
_NOT_S3 = "what responds there is no S3 store: check the endpoint URL"
_WRONG: dict[str, str] = {
    "403": _DENIED,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "InvalidAccessKeyId": _WRONG_KEY,
    "InvalidClientTokenId": _WRONG_KEY,
    "SignatureDoesNotMatch": "the secret key does not fit the access key: check the credentials",
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": "the session token is not accepted: check the credentials",
    "RequestTimeTooSkewed": "the clock of this computer differs too much from the store's: set it",
    "RequestExpired": "the clock of this computer differs too much from the store's: set it",
    "NoSuchBucket": "there is no such bucket: create it, or correct the URL",
    "InvalidBucketName": "there can be no bucket of that name: correct the URL",
    "301": _ELSEWHERE,
    "302": _ELSEWHERE,
    "307": _ELSEWHERE,
    "308": _ELSEWHERE,
    "PermanentRedirect": _ELSEWHERE,
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "400": "the store does not understand the request: check the endpoint URL and the region",
    "404": _NOT_S3,
    "405": _NOT_S3,
    "MethodNotAllowed": _NOT_S3,
}
"""What is wrong with the configuration, by the store's code, or its status where it gives none."""
_GONE: dict[str, str] = {
    "NoSuchKey": "it is not there any more",
    "412": "it has changed meanwhile",
    "PreconditionFailed": "it has changed meanwhile",
}
_UNSUPPORTED = {"501", "NotImplemented", "InvalidArgument", "InvalidRequest"}
"""What stores say to headers that they do not know."""
_BAD_CHECKSUM = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"}


def status_of(error: Exception) -> int:
    """Return the HTTP status of the response that an error is about, or 0."""
    match error:
        case botocore.ClientError(response={"ResponseMetadata": {"HTTPStatusCode": int(status)}}):
            return status
    return 0


def code_of(error: Exception) -> str:
    """Return what a store calls an error; its status if it calls it nothing."""
    match error:
        case botocore.ClientError(response={"Error": {"Code": code}}) if code:
            return printable(str(code)[:60])
        case botocore.ClientError():
            return str(status_of(error))
    return ""


def may_pass(error: Exception) -> bool:
    """Return whether the same request may succeed a little later."""
    match error:
        case botocore.ClientError():
            status = status_of(error)
            return status in (408, 429) or 500 <= status != 501 or code_of(error) in _PASSING
        case botocore.ProxyConnectionError() | botocore.ConnectionError():
            return not isinstance(cause_of(error), aiohttp.ClientConnectorCertificateError)
        case botocore.BotoCoreError():
            return isinstance(error, botocore.HTTPClientError | botocore.FlexibleChecksumError)
    return isinstance(error, aiohttp.ClientError | OSError)


def cause_of(error: Exception) -> Exception:
    """Return the error of the connection that botocore has wrapped."""
    match error:
        case botocore.BotoCoreError(kwargs={"error": Exception() as cause}):
            return cause
    return error


def describe(error: Exception, operation: str, timeout: float) -> str:
    """Return what an error means: neither the store's words nor a URL are in it, only its code."""
    match error:
        case botocore.ClientError():
            code = code_of(error)
            status = str(status_of(error))
            unknown = f"the store responds {status} {code.removeprefix(status)}".rstrip()
            return (_WRONG | _GONE).get(code, unknown).format(operation=operation)
        case botocore.HTTPClientError() | botocore.ConnectionError():
            return describe_error(cause_of(error), timeout)
        case botocore.BotoCoreError() | ResponseParserError():
            return _describe_botocore(error)
    return describe_error(error, timeout)


def _describe_botocore(error: Exception) -> str:
    """Return what an error of botocore's own means."""
    match error:
        case botocore.NoCredentialsError():
            return _NO_CREDENTIALS
        case botocore.CredentialRetrievalError(kwargs={"provider": provider}):
            return f"the credentials of {printable(str(provider))} could not be retrieved"
        case botocore.FlexibleChecksumError():
            return "what was read does not match its checksum"
        case ResponseParserError():
            return _NOT_S3
    return printable(str(error).partition("\n")[0][:300])


def is_configuration(error: Exception) -> bool:
    """Return whether an error is due to the configuration, if the request never succeeded."""
    match error:
        case botocore.ClientError():
            return code_of(error) in _WRONG
        case ResponseParserError():
            return True
        case botocore.BotoCoreError():
            return not may_pass(error)
    return False


def translate(error: Exception, doing: str, why: str, *, worked: bool) -> ArchiverError:
    """Return the error for people; `worked` is whether such a request has succeeded before."""
    if code_of(error) in _BAD_CHECKSUM:
        return ChecksumRefused(f"the store failed while {doing}: it received other bytes")
    if code_of(error) in _UNSUPPORTED:
        return NotSupported(f"the store failed while {doing}: {why}")
    if is_configuration(error) and not worked:
        return ConfigurationError(f"failed while {doing}: {why}")
    return StorageError(f"the store failed while {doing}: {why}")
