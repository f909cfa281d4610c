"""What is wrong with the client's own settings, as botocore finds out: files, profiles, helpers and sign-ins, before any request to S3."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.utils import get_environ_proxies

from migrator.core.errors import SettingsError
from migrator.core.redaction import HIDDEN
from migrator.stores.s3.errors.error_fields import code_of, presentable, said_by


def _kinds(*names: str) -> tuple[type[Exception], ...]:
    """Return those of botocore's errors that this version of it has: newer ones came after the oldest version that is allowed."""
    return tuple(getattr(boto, name) for name in names if hasattr(boto, name))


_CONFIGURATION: tuple[type[Exception], ...] = (
    boto.InvalidConfigError,
    boto.ConfigNotFound,
    boto.InvalidIMDSEndpointError,
    boto.InvalidIMDSEndpointModeError,
    boto.UnknownSignatureVersionError,
    boto.UnsupportedSignatureVersionError,
    boto.InvalidRetryConfigurationError,
    boto.InvalidS3AddressingStyleError,
    boto.InvalidS3UsEast1RegionalEndpointConfigError,
    boto.InvalidSTSRegionalEndpointsConfigError,
    boto.UnsupportedS3ConfigurationError,
    boto.UnsupportedS3ControlConfigurationError,
    boto.InvalidEndpointDiscoveryConfigurationError,
    boto.InvalidProxiesConfigError,
    boto.InvalidDefaultsMode,
    boto.UnknownServiceStyle,
    *_kinds("InvalidChecksumConfigError"),
)
_ENDPOINT: tuple[type[Exception], ...] = (
    boto.BaseEndpointResolverError,
    boto.UnknownRegionError,
    boto.InvalidRegionError,
    boto.ServiceNotInRegionError,
    *_kinds("EndpointProviderError", "InvalidEndpointConfigurationError"),
)
_SIGNED_OUT: tuple[type[Exception], ...] = (
    boto.SSOError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    *_kinds("LoginError"),
)
_NO_RETRIEVAL: tuple[type[Exception], ...] = (
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.UnknownCredentialError,
    boto.RefreshWithMFAUnsupportedError,
    *_kinds("UnknownTokenProviderError"),
)


def fault_of_settings(error: Exception) -> SettingsError | None:
    """What the operator has to set right on this machine; None for an error of another kind."""
    if isinstance(error, boto.ProfileNotFound):
        return _no_profile(error)
    if isinstance(error, boto.ConfigParseError):
        return _config_broken(error)
    if isinstance(error, boto.NoCredentialsError):
        return no_credentials()
    if isinstance(error, boto.PartialCredentialsError):
        return _half_credentials(error)
    if isinstance(error, _SIGNED_OUT):
        return _signed_out(error)
    if isinstance(error, _NO_RETRIEVAL):
        return _not_retrieved(error)
    if isinstance(error, (boto.MissingDependencyException, boto.MD5UnavailableError)):
        return SettingsError(
            "python-lacks-part",
            f"boto3 lacks something that these settings need: {_words(error)}",
            cure="Install it, for example pip install 'botocore[crt]', or use other credentials.",
        )
    if isinstance(error, _CONFIGURATION):
        return SettingsError(
            "aws-setting-invalid",
            f"boto3 does not take one of its settings: {_words(error)}",
            why="It comes from the environment (AWS_...) or from a profile in ~/.aws/config.",
            cure="Correct or remove it there. Bytes fails on it too.",
        )
    if isinstance(error, _ENDPOINT):
        return SettingsError(
            "endpoint-unknown",
            f"boto3 finds no address of S3 for these settings: {_words(error)}",
            cure="Check AWS_DEFAULT_REGION and AWS_ENDPOINT_URL; a region looks like eu-west-1.",
        )
    return _file_missing(error) if isinstance(error, OSError) else None


def fault_of_helper(error: Exception) -> SettingsError:
    """What failed while credentials were looked for, and is of no kind that botocore names."""
    known = fault_of_settings(error)
    if known is not None:
        return known
    return SettingsError(
        "credential-helper-failed",
        f"The credential provider returned no credentials ({type(error).__name__}).",
        why="A credential helper (credential_process) wrote no JSON with keys, or a stored sign-in is damaged.",
        cure="Run the profile's helper by hand, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )


def credentials_not_given(error: boto.ClientError) -> SettingsError:
    """The service that gives credentials out (STS, SSO) answered, and refused."""
    said = said_by(error)
    return SettingsError(
        "credentials-not-given",
        f"The credential service refused ({error.operation_name}: {code_of(error)})."
        + (f" Its words: '{said}'." if said else ""),
        why="The profile's role, token or sign-in does not give access.",
        cure="Check role_arn, the token file or the sign-in in ~/.aws/config, or set keys.",
    )


def no_credentials() -> SettingsError:
    """Nothing gives any."""
    return SettingsError(
        "no-credentials",
        "There are no credentials for S3.",
        why="Neither the environment, a profile nor an instance role gives any.",
        cure="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; from a file with --env-file FILE.",
    )


def refuse_ca_bundle(path: str) -> None:
    """Refuse a file of CA certificates that boto3 could not use.

    Raises:
        SettingsError: If it is missing, unreadable, or holds no certificates in PEM form.
    """
    try:
        ssl.create_default_context(cafile=path)
        why = ""
    except FileNotFoundError:
        why = "There is no such file."
    except ssl.SSLError:
        why = "It holds no certificates in PEM form."
    except OSError as error:
        why = f"It cannot be read ({os.strerror(error.errno) if error.errno else type(error).__name__})."
    if why:
        raise SettingsError(
            "ca-bundle-unusable",
            f"The file of CA certificates {path} cannot be used.",
            why=why,
            cure="Correct --ca-bundle or AWS_CA_BUNDLE (ca_bundle in ~/.aws/config), or leave it out.",
        )


def refuse_proxy(endpoint_url: str) -> None:
    """Refuse a proxy setting for this endpoint that is no HTTP proxy's URL: requests would fail, and look as if the server were away.

    Source: botocore 1.44, ``httpsession.ProxyConfiguration``: what does not begin with http: or https: gets "http://" before it.

    Raises:
        SettingsError: If it has another scheme, or no host, or a port that is none.
    """
    scheme = urlsplit(endpoint_url).scheme
    value = get_environ_proxies(endpoint_url).get(scheme, "")
    why = _why_no_proxy(value) if value else ""
    if why:
        names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
        name = next((name for name in names if os.environ.get(name) == value), names[1])
        raise SettingsError(
            "proxy-not-a-url",
            f"{name}={HIDDEN if '@' in value else presentable(value)} (environment) is no URL of an HTTP proxy.",
            why=f"{why} Bytes would fail with it too.",
            cure=f"Write {name}=http://HOST:PORT, unset it, or name the server's host in NO_PROXY.",
        )


def _why_no_proxy(value: str) -> str:
    """What keeps it from being used; "" if nothing does."""
    scheme, is_url, _ = value.partition("://")
    if is_url and scheme not in ("http", "https"):
        return f"boto3 knows no proxies of the kind '{presentable(scheme)}'." if scheme else "It has no scheme."
    url = value if is_url else f"http://{value.removeprefix('//')}"
    if any(character.isspace() for character in url):
        return "It holds a space or a line feed."
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "Its host or port cannot be understood."
    return "" if has_host else "It has no host name."


def _no_profile(error: boto.ProfileNotFound) -> SettingsError:
    profile = str(error.kwargs.get("profile", ""))
    return SettingsError(
        "profile-missing",
        f"The profile {profile!r} is in no AWS configuration file of this user.",
        cure="Set AWS_PROFILE (or --profile) to one of `aws configure list-profiles`, or unset it.",
    )


def _config_broken(error: boto.ConfigParseError) -> SettingsError:
    path = presentable(str(error.kwargs.get("path", "")))
    return SettingsError(
        "aws-config-broken",
        f"The AWS configuration file {path} cannot be read: it has a line that is not valid.",
        why="It needs sections such as [profile NAME], with NAME = VALUE below.",
        cure="Correct the file; `aws configure list` tries it.",
    )


def _half_credentials(error: boto.PartialCredentialsError) -> SettingsError:
    missing, provider = str(error.kwargs.get("cred_var", "")), str(error.kwargs.get("provider", ""))
    return SettingsError(
        "credentials-half-set",
        f"The credentials are incomplete: {presentable(missing) or 'one of the keys'} is missing ({presentable(provider)}).",
        why="Access key and secret key belong together, in one place.",
        cure="Set both in one place, or neither.",
    )


def _signed_out(error: Exception) -> SettingsError:
    return SettingsError(
        "not-signed-in",
        f"The AWS profile's sign-in has expired, or never happened ({type(error).__name__}).",
        why="The profile needs SSO or `aws login`.",
        cure="As this user: aws sso login --profile NAME (or aws login); or set keys or another AWS_PROFILE.",
    )


def _not_retrieved(error: Exception) -> SettingsError:
    """A helper's own output is not shown: nobody knows which secrets it holds."""
    provider = presentable(str(getattr(error, "kwargs", {}).get("provider", "")))
    if provider == "custom-process":
        return SettingsError(
            "credential-helper-failed",
            "The credential helper (credential_process of the AWS profile) failed.",
            why="What it wrote is not shown here, since it may hold secrets.",
            cure="Run its command from ~/.aws/config by hand, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    return SettingsError(
        "credentials-not-retrieved",
        f"The credentials could not be retrieved{f' by {provider!r}' if provider else ''} ({type(error).__name__}).",
        why="The service that the profile or the environment names failed.",
        cure="Check AWS_PROFILE and its section in ~/.aws/config, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )


def _file_missing(error: OSError) -> SettingsError | None:
    """A file that the settings name, such as AWS_WEB_IDENTITY_TOKEN_FILE. Errors of connections have no file name."""
    if not isinstance(error.filename, (str, bytes)):
        return None
    path = presentable(os.fsdecode(error.filename))
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return SettingsError(
        "aws-file-unusable",
        f"The file {path}, which the AWS settings name, cannot be used: {reason}.",
        why="AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE or credential_process in a profile names it.",
        cure="Correct the path, or give this user the right to read it.",
    )


def _words(error: Exception) -> str:
    """Return botocore's own words as a sentence; what a helper wrote may be among them, so keys are masked."""
    text = presentable(str(error))
    return text if text.endswith((".", "…")) else f"{text}."
