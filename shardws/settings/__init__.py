"""Settings: one row each in `table`; all else (values, command line, files, pages) follows.

    units -> kinds -> measures, contents -> row -> checks -> table -> names -> values
    values -> config, tomlfile, sources, pairs, properties, listing -> pages -> render

The room knows no other room but `errors`: a module that applies settings reads them by row,
`settings[table.LOCAL_PORT]`, and no setting's name is typed anywhere but in `table`.
"""

from shardws.settings.values import Assignment, Settings, Source

__all__ = ["Assignment", "Settings", "Source"]
