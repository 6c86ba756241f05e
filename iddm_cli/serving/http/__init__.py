"""The HTTP interface: routes, schemas, security, streaming, and the web page."""
