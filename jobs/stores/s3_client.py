"""The S3 client of the process, and the translation of its errors into ours."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from botocore import exceptions as raised

from jobs.errors import DestinationFull, InputError, PumiceError, SourceChanged, StoreError

MAX_ATTEMPTS = 5
READ_TIMEOUT_S = 60
_MAKING = threading.Lock()

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_SET_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_REFUSALS: tuple[tuple[frozenset[str], type[PumiceError], str], ...] = (
    (
        frozenset({"NoSuchBucket"}),
        InputError,
        "There is no bucket {bucket}: create it, or correct the address {url}.",
    ),
    (
        frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"}),
        InputError,
        "Access to {where} was denied: give these credentials permission, or use others.",
    ),
    (
        frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}),
        InputError,
        "The credentials were not accepted for {where} ({code}): " + _SET_CREDENTIALS + ".",
    ),
    (
        frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}),
        InputError,
        "The bucket {bucket} is in another region: set AWS_DEFAULT_REGION to it.",
    ),
    (
        frozenset({"RequestTimeTooSkewed"}),
        InputError,
        "The clock of this machine is wrong, so {url} refused: set it.",
    ),
    (
        MISSING | {"PreconditionFailed", "412", "InvalidRange", "416"},
        SourceChanged,
        "{where} was changed or removed while it was being read.",
    ),
    (
        frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"}),
        DestinationFull,
        "No space is left to write {where}: free some, then run the same command again.",
    ),
)


@cache
def _made() -> Any:
    # A third of a second, which `pumice submit` need not wait for: it only looks at addresses.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    return boto3.Session().client(  # not the default session, which other code may have changed
        "s3",
        config=Config(
            retries={"mode": "standard", "max_attempts": MAX_ATTEMPTS},
            max_pool_connections=32,
            connect_timeout=10,
            read_timeout=READ_TIMEOUT_S,
            # boto3's default trailing checksums are refused by several S3-compatible services.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def client() -> Any:
    """The client of the process: to make one is slow and not thread-safe, but many threads may use one.

    Raises:
        InputError: the environment's endpoint or profile is unusable.
    """
    with _MAKING:
        try:
            return _made()
        except ValueError as error:
            raise InputError(f"The S3 settings can't be used ({error}): correct AWS_ENDPOINT_URL.") from error
        except raised.BotoCoreError as error:
            raise InputError(f"The S3 settings can't be used ({error}): correct the AWS settings.") from error


def code_of(error: raised.ClientError) -> str:
    """The service's own code of an error; for HEAD requests, the status."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Translator:
    """Translates errors of boto3 into errors of Pumice whose messages name the store."""

    def __init__(self, url: str, bucket: str) -> None:
        self._url, self._bucket = url, bucket
        self._reached = False

    @contextmanager
    def __call__(self, key: str = "") -> Iterator[None]:
        """Translate the errors of one request about `key`: the classes in `_REFUSALS`, or StoreError."""
        where = f"{self._url.rstrip('/')}/{key}" if key else self._url
        try:
            yield
        except raised.ClientError as error:
            self._reached = True
            raise self._refusal(error, where) from error
        except raised.BotoCoreError as error:
            raise self._failure(error, where) from error
        except UnicodeEncodeError as error:
            raise StoreError(f"S3 can't hold the name {key!r}: it is not Unicode; rename it.") from error
        self._reached = True

    def _refusal(self, error: raised.ClientError, where: str) -> PumiceError:
        """The error for a request that the service refused."""
        code = code_of(error)
        for codes, kind, sentence in _REFUSALS:
            if code in codes:
                return kind(sentence.format(where=where, url=self._url, bucket=self._bucket, code=code))
        message = error.response.get("Error", {}).get("Message", "")
        return StoreError(f"{where}: the store answered {code} {message}".rstrip(" .") + ".")

    def _failure(self, error: Exception, where: str) -> PumiceError:
        """The error for a request without an answer."""
        if isinstance(error, raised.NoCredentialsError | raised.PartialCredentialsError):
            return InputError(f"There are no credentials for {self._url}: {_SET_CREDENTIALS}.")
        if isinstance(error, raised.ParamValidationError):
            return InputError(f"{where} is not an address that S3 knows: correct it.")
        # Before the first answer the address may be wrong; after it, only the network can be.
        if not self._reached:
            settings = "AWS_ENDPOINT_URL and AWS_DEFAULT_REGION"
            return InputError(f"{self._url} can't be reached ({error}): check the network, {settings}.")
        # The error's own text holds the request with our records; its class tells enough.
        return StoreError(
            f"{where}: the store no longer answers ({type(error).__name__}): what is committed stays; "
            "continue when it answers again."
        )
