"""`[discovery]`: endpoints that appear by themselves."""

from vedette.settings.section import Secret, Section


class Discovery(Section, frozen=True, kw_only=True):
    """What endpoints that appear by themselves may use: `keys` are the secrets that they may name."""

    keys: dict[str, Secret] = {}
