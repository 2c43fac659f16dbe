"""Every error that this platform raises on purpose.

RecsysError
├── PermanentError   a retry cannot help: somebody has to change something
│   ├── SettingsError      settings are wrong; all of them are named at once
│   ├── HomeError          the home is missing, of another version, or under another secret
│   ├── SourceError        a shop's file cannot be read as what it was said to be
│   ├── TableError         a frame does not have the columns and dtypes of its table
│   ├── DamagedError       a file of the lake or the home is gone or not as it was written
│   ├── UnwritableError    Postgres is read-only, full, or the role has no right to what is asked
│   ├── NotFoundError      a day, user, generation or product that is asked for is not there
│   └── RefusedError       a rule of ours forbids it (an older day over a newer one, a failed check)
└── TransientError   the same call may work later
    └── StoreError         Postgres, Redis or MLflow does not answer
"""


class RecsysError(Exception):
    """What was wrong, where, and what to do, in one message for a person to read."""


class PermanentError(RecsysError):
    """A retry cannot help."""


class TransientError(RecsysError):
    """A retry may help."""


class SettingsError(PermanentError):
    """Settings are wrong; the message names every one of them."""


class HomeError(PermanentError):
    """The home is missing, of another version, or under another secret."""


class SourceError(PermanentError):
    """A shop's file cannot be read as what it was said to be."""


class TableError(PermanentError):
    """A frame does not have the columns and dtypes of its table."""


class DamagedError(PermanentError):
    """A file of the lake or of the home is gone, or not as it was written."""


class UnwritableError(PermanentError):
    """Postgres is read-only, full, or the role has no right to what is asked."""


class NotFoundError(PermanentError):
    """What was asked for is not there."""


class RefusedError(PermanentError):
    """A rule of ours forbids it."""


class StoreError(TransientError):
    """Postgres, Redis or MLflow does not answer."""
