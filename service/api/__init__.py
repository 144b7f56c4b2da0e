"""HTTP: routes, bodies, refusals, and what surrounds every request."""
