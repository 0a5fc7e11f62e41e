"""The files under deploy/ against the catalogue, the settings and the tools that will read them."""
