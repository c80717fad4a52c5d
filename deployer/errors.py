"""Define the tree of errors, one class for each error that a caller can act on.

::

    SchnitzelError
      SettingsInvalid             platform.yaml or SCHNITZEL_*: fix the setting
      RegistryUnreachable         MLflow does not answer: wait, or fix the connection
      RegistryMalformed           MLflow breaks its API: no decision uses the answer
      RegistryFrozen              the registry seems to be another one: an operator decides
      ClaimRefused                the environments could not be claimed for this platform
      UnsafePlan                  the plan needs an operator's consent
        TooManyRetirements
        PlanChanged
        DeletedByHand             in a cluster: recreated only if an operator allows it
      FormatUnknown               another version of the platform wrote it: run that version
      DatabaseUnavailable         PostgreSQL does not answer: no action without a history
      PassFailed                  a pass broke with an unexpected exception: report it
      PassHangs                   a pass does not end: a service does not answer; transient
      BrokerUnreachable           a broker does not answer: start it; transient
      BrokerRefused               a broker refuses the user or a queue: correct its permissions
      QueueMissing                a broker has no such queue: make it
      NotFound                    no such deployment, environment or predictor
      Unauthorised                no token, or an unknown token
      VersionFailure              the reason that a model version (or its target) shows
        SpecInvalid
        PythonUnavailable
        UnsupportedDependencies
        EnvironmentUnbuildable
        RuntimeUnavailable
        ImageMissing              the platform's image: no fault of the version
        ImageRegistryRefused
        ImageRegistryUnreachable  transient
        ArtifactMissing
        ArtifactCorrupt
        ArtifactUnreachable       transient
        ExampleRefused
        TargetUnavailable         transient
        GatewayUnavailable        transient
"""

# ruff: noqa: N818 - an error is named for the reason that operators see, without a suffix

from typing import ClassVar


class SchnitzelError(Exception):
    """An error that an operator or researcher can fix, with the next step.

    `reason_of` returns the reason that is shown for it.

    Attributes:
        message: one sentence that describes the error; contains no secret.
        hint: the next step, as a command or a sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


def reason_of(error: SchnitzelError) -> str:
    """Return the reason shown for an error: its own reason if it has one, else its class name."""
    return str(getattr(error, "reason", type(error).__name__))


def is_transient(error: SchnitzelError) -> bool:
    """Return whether an error may go away without a change, so that the controller retries."""
    return bool(getattr(error, "transient", False))


class SettingsInvalid(SchnitzelError):
    """A setting in platform.yaml or in a SCHNITZEL_* variable cannot be used."""


class RegistryUnreachable(SchnitzelError):
    """MLflow does not answer, refuses the credentials, or answers with an error of its own."""


class RegistryMalformed(SchnitzelError):
    """MLflow answered, but broke the promise of its REST API."""


class RegistryFrozen(SchnitzelError):
    """The registry's marker is gone or its time went backwards: an operator must accept it."""


class ClaimRefused(SchnitzelError):
    """The environments could not be claimed for this platform in the registry."""


class UnsafePlan(SchnitzelError):
    """The plan may be right, but only an operator can confirm it."""


class TooManyRetirements(UnsafePlan):
    """More predictors would be retired in one pass than the policy allows."""


class PlanChanged(UnsafePlan):
    """The plan that was reviewed is not the plan that would be applied."""


class NoRollout(UnsafePlan):
    """An operator's command for a rollout found none under way, or another one."""


class DeletedByHand(UnsafePlan):
    """A deployment was deleted by hand in its cluster: an operator decides on its recreation."""


class FormatUnknown(SchnitzelError):
    """A record or a database has an unknown format and is left as it is."""


class DatabaseUnavailable(SchnitzelError):
    """The Deployer's own database does not answer."""


class PassFailed(SchnitzelError):
    """A pass over a deployment broke with an unexpected exception; it is retried."""


class PassHangs(SchnitzelError):
    """A pass over a deployment does not end: the service that it waits for does not answer."""

    transient: ClassVar[bool] = True

    @classmethod
    def of(cls, model: str, environment: str) -> "PassHangs":
        """Build the error of a deployment."""
        return cls(
            f"The pass over {model} in {environment} does not end: a service does not answer; "
            "the predictors keep running, and other deployments do not wait for it.",
            "Check that its target answers: schnitzel doctor",
        )


class BrokerUnreachable(SchnitzelError):
    """A RabbitMQ broker does not answer, or the connection to it broke."""

    transient: ClassVar[bool] = True


class BrokerRefused(SchnitzelError):
    """A RabbitMQ broker refuses the user, the virtual host, a queue or a message."""


class QueueMissing(SchnitzelError):
    """A RabbitMQ broker has no queue of this name."""


class NotFound(SchnitzelError):
    """No deployment, environment or predictor has this name."""


class Unauthorised(SchnitzelError):
    """The request is a change without a token or with an unknown token."""


class VersionFailure(SchnitzelError):
    """A model version cannot be served now.

    Attributes:
        reason: the CamelCase name shown as the deployment's reason; stable, documented.
        transient: True if the cause may go away without a change (retried with backoff); False if
            it stays until something changes or an operator retries. A class has a default, which a
            single error may override.
    """

    reason: ClassVar[str] = "VersionFailure"
    transient: bool = False

    def __init_subclass__(cls) -> None:
        """Name the reason after the class, unless the class has a reason of its own."""
        if VersionFailure in cls.__bases__ and "reason" not in vars(cls):
            cls.reason = cls.__name__

    def __init__(self, message: str, hint: str = "", *, transient: bool | None = None) -> None:
        super().__init__(message, hint)
        if transient is not None:
            self.transient = transient


class SpecInvalid(VersionFailure):
    """The serving spec has an unknown field or a wrong value, or exceeds an operator's limit."""


class PythonUnavailable(VersionFailure):
    """This machine has no interpreter of the Python minor that the model was logged with."""


class UnsupportedDependencies(VersionFailure):
    """The model requires packages that only conda has, or sources that cannot be locked."""


class EnvironmentUnbuildable(VersionFailure):
    """The model's requirements could not be locked or installed."""


class RuntimeUnavailable(VersionFailure):
    """The runtime that should serve the version is not available in the target."""


class ImageMissing(VersionFailure):
    """The platform's own image, the base of the Python environment, is not in its registry."""


class ImageRegistryRefused(VersionFailure):
    """The image registry requires another login, is not trusted, or speaks plain HTTP."""


class ImageRegistryUnreachable(VersionFailure):
    """The image registry does not answer."""

    transient = True


class ArtifactMissing(VersionFailure):
    """The location that the registry has for the model's files is empty."""


class ArtifactCorrupt(VersionFailure):
    """The model's files are incomplete, or differ from those that were served before."""


class ArtifactUnreachable(VersionFailure):
    """The place that holds the model's files does not answer."""

    transient = True


class ExampleRefused(VersionFailure):
    """The model refuses its own logged input example, or its answer breaks its signature."""


class TargetUnavailable(VersionFailure):
    """The target that runs predictors does not answer."""

    transient = True


class GatewayUnavailable(VersionFailure):
    """The gateway that routes requests does not answer."""

    transient = True
