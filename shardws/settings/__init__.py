"""Settings: one row each in `table`; values, command line, files and pages derive from it.

    units -> kinds -> kinds_units, kinds_bytes -> row -> checks -> table -> names -> values
    values -> config, tomlfile, sources, cross_checks, properties, listing

A module that applies settings reads them by row,
`settings[table.LOCAL_PORT]`, and no setting's name is typed anywhere but in `table`.
"""

from shardws.settings.values import Assignment, Settings, Source

__all__ = ["Assignment", "Settings", "Source"]
