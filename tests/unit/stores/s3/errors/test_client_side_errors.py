"""All of botocore's exceptions, each in its class: only the connection's own faults are "could not be reached"."""

from __future__ import annotations

import inspect
import ssl
import string
from typing import Any

import pytest
from botocore import exceptions as boto

from migrator.core.errors import AccessDenied, StoreError, Unavailable
from migrator.stores.s3.errors.mapping import translate

WHERE = "s3://bucket/org/id"
OF_THE_CONNECTION = {
    "ConnectionError": "unreachable",
    "EndpointConnectionError": "unreachable",
    "ConnectTimeoutError": "unreachable",
    "ConnectionClosedError": "unreachable",
    "ReadTimeoutError": "unreachable",
    "HTTPClientError": "unreachable",
    "ResponseStreamingError": "unreachable",
    "IncompleteReadError": "unreachable",
    "ProxyConnectionError": "proxy-refused",
}
OF_THE_SETTINGS = {
    "ProfileNotFound": "profile-missing",
    "ConfigParseError": "aws-config-broken",
    "NoCredentialsError": "no-credentials",
    "PartialCredentialsError": "credentials-half-set",
    **dict.fromkeys(
        [
            "SSOError",
            "SSOTokenLoadError",
            "UnauthorizedSSOTokenError",
            "NoAuthTokenError",
            "TokenRetrievalError",
            "LoginError",
            "LoginRefreshRequired",
            "LoginInsufficientPermissions",
            "LoginTokenLoadError",
            "LoginAuthorizationCodeError",
        ],
        "not-signed-in",
    ),
    **dict.fromkeys(
        [
            "CredentialRetrievalError",
            "MetadataRetrievalError",
            "UnknownTokenProviderError",
            "UnknownCredentialError",
            "RefreshWithMFAUnsupportedError",
        ],
        "credentials-not-retrieved",
    ),
    **dict.fromkeys(
        [
            "MissingDependencyException",
            "MD5UnavailableError",
        ],
        "python-lacks-part",
    ),
    **dict.fromkeys(
        [
            "BaseEndpointResolverError",
            "NoRegionError",
            "EndpointVariantError",
            "UnknownEndpointError",
            "UnknownFIPSEndpointError",
            "UnknownRegionError",
            "InvalidRegionError",
            "ServiceNotInRegionError",
            "EndpointProviderError",
            "EndpointResolutionError",
            "UnknownEndpointResolutionBuiltInName",
            "InvalidEndpointConfigurationError",
        ],
        "endpoint-unknown",
    ),
    **dict.fromkeys(
        [
            "ConfigNotFound",
            "InvalidConfigError",
            "InfiniteLoopConfigError",
            "InvalidIMDSEndpointError",
            "InvalidIMDSEndpointModeError",
            "UnknownSignatureVersionError",
            "UnsupportedSignatureVersionError",
            "InvalidRetryConfigurationError",
            "InvalidMaxRetryAttemptsError",
            "InvalidRetryModeError",
            "InvalidS3AddressingStyleError",
            "InvalidS3UsEast1RegionalEndpointConfigError",
            "InvalidSTSRegionalEndpointsConfigError",
            "UnsupportedS3ConfigurationError",
            "UnsupportedS3ControlConfigurationError",
            "InvalidEndpointDiscoveryConfigurationError",
            "InvalidProxiesConfigError",
            "InvalidDefaultsMode",
            "UnknownServiceStyle",
            "InvalidChecksumConfigError",
        ],
        "aws-setting-invalid",
    ),
}
OF_NEITHER = {
    "SSLError": "tls",
    "ClientError": "server-refused",
    "EventStreamError": "server-refused",
    **dict.fromkeys(
        [
            "ChecksumError",
            "FlexibleChecksumError",
        ],
        "damaged-on-the-way",
    ),
    **dict.fromkeys(
        [
            "ParamValidationError",
            "ValidationError",
            "UnknownKeyError",
            "RangeError",
            "UnknownParameterError",
            "AliasConflictParameterError",
            "InvalidDNSNameError",
            "InvalidHostLabelError",
            "UnsupportedS3ArnError",
            "UnsupportedS3ControlArnError",
            "UnsupportedOutpostResourceError",
            "UnsupportedS3AccesspointConfigurationError",
        ],
        "name-refused",
    ),
}
CLASSES = [
    kind
    for kind in vars(boto).values()
    if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == boto.__name__
    if not issubclass(kind, Warning)
]


def made(kind: type[Exception]) -> Exception:
    """One of its kind, with whatever its text asks for."""
    if issubclass(kind, boto.ClientError):
        return kind({"Error": {"Code": "Odd"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "PutObject")
    fields = [name for _, name, _, _ in string.Formatter().parse(getattr(kind, "fmt", "")) if name]
    if not issubclass(kind, boto.BotoCoreError):
        fields = [name for name in fields if name in ("service_name",)]
    values: dict[str, Any] = dict.fromkeys(fields, "x")
    if "error" in values:
        values["error"] = ConnectionResetError("it went")
    if issubclass(kind, boto.WaiterError):
        values["last_response"] = {}
    return kind(**values)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_its_name(kind: type[Exception]) -> None:
    error = made(kind)
    if not isinstance(error, (boto.BotoCoreError, boto.ClientError)):
        with pytest.raises(kind):  # a fault of botocore's own data: nothing to be told to an operator
            translate(error, WHERE)
        return
    fault = translate(error, WHERE)
    known = {**OF_THE_CONNECTION, **OF_THE_SETTINGS, **OF_NEITHER}
    assert fault.name == known.get(kind.__name__, "boto3-refused")
    assert isinstance(fault, Unavailable) is (kind.__name__ in OF_THE_CONNECTION)
    assert (fault.name in set(OF_THE_SETTINGS.values())) is (kind.__name__ in OF_THE_SETTINGS)
    if kind.__name__ in OF_THE_SETTINGS:
        assert isinstance(fault, AccessDenied)
        assert fault.cure


def test_no_class_of_the_tables_is_forgotten() -> None:
    """botocore before 1.44 has fewer."""
    names = {kind.__name__ for kind in CLASSES}
    optional = {
        name for name in OF_THE_SETTINGS if name.startswith(("Login", "InvalidChecksum", "EndpointPro", "UnknownToken"))
    }
    assert set(OF_THE_CONNECTION) | set(OF_THE_SETTINGS) - optional | set(OF_NEITHER) <= names


@pytest.mark.parametrize(
    ("beneath", "kind"),
    [
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Unavailable),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"), Unavailable),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), AccessDenied),
    ],
)
def test_an_encrypted_connection_that_breaks_off_is_no_certificate_that_is_not_trusted(
    beneath: ssl.SSLError, kind: type[StoreError]
) -> None:
    """A reset in the middle of a body: boto3 calls it an SSLError too, and the request has to be sent again."""
    found = translate(boto.SSLError(endpoint_url="https://host", error=beneath), "s3://b/k")
    assert type(found) is kind
