# A dependency installs a package `tests` of its own, which would hide a folder without this file.
