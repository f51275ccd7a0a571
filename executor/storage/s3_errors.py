"""Errors of the S3 client by code: the expected ones, and the messages for all others."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import s3transfer.exceptions
import urllib3.exceptions

from tfx_best_exporter.executor.storage import errors, objects
from tfx_best_exporter.executor.storage.protocol import StorageError

_NO_CREDENTIALS = (
    "Run 'aws configure', set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role to the"
    " machine or service account."
)
_NO_PERMISSION = (
    "Allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its"
    " objects."
)
ABSENT = frozenset({"NoSuchKey", "NotFound", "404"})
REFUSED = frozenset({"PreconditionFailed", "412"})
MET = frozenset({"ConditionalRequestConflict", "409"})
_UNKNOWN_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)
_FORBIDDEN = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "403"})
_CREDENTIAL_ERRORS = (
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.SSOError,
    botocore.exceptions.TokenRetrievalError,
)
FAILURES = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    s3transfer.exceptions.RetriesExceededError,
    urllib3.exceptions.HTTPError,
)
READ_FAILURES = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    urllib3.exceptions.HTTPError,
    OSError,
)


def code_of(error: Exception) -> str:
    """Returns the error code of a store's response, or an empty text if there is none."""
    return str(_response_error(error).get("Code", ""))


def storage_error(error: Exception, path: str, uri: str) -> StorageError:
    """Returns the StorageError, with a remedy, for an error of the client.

    Args:
        error: One of FAILURES, but not for a missing object.
        path: "bucket/key" of the request.
        uri: URI of the same object, for messages.
    """
    code = code_of(error)
    if isinstance(error, botocore.exceptions.ClientError):
        problem = f"{code} {_response_error(error).get('Message', '')}".strip()
    else:
        problem = " ".join(str(error).split())[:300]
    if code == "NoSuchBucket":
        return StorageError(errors.bucket_missing(objects.split(path)[0], uri))
    if code in _UNKNOWN_CREDENTIALS or isinstance(error, _CREDENTIAL_ERRORS):
        return StorageError(errors.credentials_missing(problem, uri, _NO_CREDENTIALS))
    if code in _FORBIDDEN:
        return StorageError(errors.permission_missing(problem, uri, _NO_PERMISSION))
    return StorageError(errors.failed(problem, uri))


def _response_error(error: Exception) -> dict[str, Any]:
    # Connection errors have the attribute too, with the value None.
    response = getattr(error, "response", None)
    return response.get("Error", {}) if isinstance(response, dict) else {}
