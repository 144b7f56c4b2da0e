"""Load test of a running service, through HTTP only: it imports nothing of the product. Experiments
that harm one are in reliability/, what HTTP costs is in over_http/; both with rules of their own.

python -m loadtests.run --help
"""
