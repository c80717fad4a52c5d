"""Nothing in; out: the tree of errors, one class for each thing that a caller can act on.

::

    SchnitzelError
      SettingsInvalid             platform.yaml or SCHNITZEL_*: mend the setting
      RegistryUnreachable         MLflow does not answer: wait, or mend the connection
      RegistryMalformed           MLflow answers nonsense: nothing is decided on it
      RegistryFrozen              the registry looks like another one: a person decides
      ClaimRefused                the environments could not be claimed for this platform
      UnsafePlan                  the plan needs a person's word
        TooManyRetirements
        PlanChanged
        DeletedByHand             in a cluster, by somebody: made again on a person's word
      FormatUnknown               another version of the platform wrote it: run that one
      DatabaseUnavailable         PostgreSQL does not answer: nothing is done without an account
      PassFailed                  a pass broke in a way that nobody foresaw: report it
      PassHangs                   a pass does not end: what it waits for does not answer; transient
      NotFound                    no such deployment, environment or predictor
      Unauthorised                no token, or a token that names nobody
      VersionFailure              what one model version (or its target) can show as its reason
        SpecInvalid
        PythonUnavailable
        UnsupportedDependencies
        EnvironmentUnbuildable
        RuntimeUnavailable
        ImageMissing              of the platform: no fault of the version's
        ImageRegistryRefused
        ImageRegistryUnreachable  transient
        ArtifactMissing
        ArtifactCorrupt
        ArtifactUnreachable       transient
        ExampleRefused
        TargetUnavailable         transient
        GatewayUnavailable        transient
"""

# ruff: noqa: N818 - an error is named for the reason that people see, without a suffix

from typing import ClassVar


class SchnitzelError(Exception):
    """Something went wrong that a person can mend: what, and the next step.

    Attributes:
        message: one sentence on what is wrong; carries no secret.
        hint: the next step, as a command or a sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


def reason_of(error: SchnitzelError) -> str:
    """The word that is shown for an error: its reason where it has one, else its name."""
    return str(getattr(error, "reason", type(error).__name__))


def is_transient(error: SchnitzelError) -> bool:
    """Whether what is wrong may go away by itself, and be tried again by itself."""
    return bool(getattr(error, "transient", False))


class SettingsInvalid(SchnitzelError):
    """A setting in platform.yaml or in a SCHNITZEL_* variable cannot be used."""


class RegistryUnreachable(SchnitzelError):
    """MLflow does not answer, refuses the credentials, or answers with an error of its own."""


class RegistryMalformed(SchnitzelError):
    """MLflow answered, but not with what its REST API promises."""


class RegistryFrozen(SchnitzelError):
    """The registry's marker is gone or its time went backwards: a person must accept it."""


class ClaimRefused(SchnitzelError):
    """The environments could not be claimed for this platform in the registry."""


class UnsafePlan(SchnitzelError):
    """The plan may be right, but only a person can say so."""


class TooManyRetirements(UnsafePlan):
    """More predictors would be retired in one pass than the policy allows."""


class PlanChanged(UnsafePlan):
    """The plan that was reviewed is not the plan that would be applied."""


class DeletedByHand(UnsafePlan):
    """Somebody deleted a deployment in its cluster: whether it is made again, a person decides."""


class FormatUnknown(SchnitzelError):
    """A record or a database is in a format that is not known here: it is left as it is."""


class DatabaseUnavailable(SchnitzelError):
    """The Deployer's own database does not answer."""


class PassFailed(SchnitzelError):
    """A pass over a deployment broke in a way that nobody foresaw; it is tried again."""


class PassHangs(SchnitzelError):
    """A pass over a deployment does not end: what it waits for does not answer."""

    transient: ClassVar[bool] = True

    @classmethod
    def of(cls, model: str, environment: str) -> "PassHangs":
        """Say it of a deployment."""
        return cls(
            f"The Deployer waits for an answer about {model} in {environment} that does not come; "
            "what runs goes on running, and other deployments do not wait for it.",
            "Look whether the place where it runs, and MLflow, answer: schnitzel doctor",
        )


class NotFound(SchnitzelError):
    """No deployment, environment or predictor has this name."""


class Unauthorised(SchnitzelError):
    """The request changes something and carries no token, or one that is not known."""


class VersionFailure(SchnitzelError):
    """A model version cannot be served now.

    Attributes:
        reason: the CamelCase word shown as the deployment's reason; stable, documented.
        transient: True if the cause may go away by itself (tried again with backoff); False if it
            stays until something changes or a person asks again. A class has a default, and one
            error may differ from it.
    """

    reason: ClassVar[str] = "VersionFailure"
    transient: bool = False

    def __init_subclass__(cls) -> None:
        """Name the reason that people see after the class, where it names none itself."""
        if VersionFailure in cls.__bases__ and "reason" not in vars(cls):
            cls.reason = cls.__name__

    def __init__(self, message: str, hint: str = "", *, transient: bool | None = None) -> None:
        super().__init__(message, hint)
        if transient is not None:
            self.transient = transient


class SpecInvalid(VersionFailure):
    """The serving spec names an unknown field, a wrong value, or passes an operator's limit."""


class PythonUnavailable(VersionFailure):
    """This machine has no interpreter of the Python minor that the model was logged with."""


class UnsupportedDependencies(VersionFailure):
    """The model asks for packages that only conda has, or for sources that cannot be locked."""


class EnvironmentUnbuildable(VersionFailure):
    """The model's requirements could not be locked or installed."""


class RuntimeUnavailable(VersionFailure):
    """What the version is to be served with cannot be had where it is to be served."""


class ImageMissing(VersionFailure):
    """The platform's own image, which the model's environment is put on, is not in its registry."""


class ImageRegistryRefused(VersionFailure):
    """The registry of images wants another login, is not trusted, or speaks plain HTTP."""


class ImageRegistryUnreachable(VersionFailure):
    """The registry of images does not answer."""

    transient = True


class ArtifactMissing(VersionFailure):
    """There is nothing where the registry says that the model's files are."""


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
