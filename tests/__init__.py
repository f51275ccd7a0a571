# This file is needed because a dependency installs a package `tests`, which would hide a directory
# without it.
