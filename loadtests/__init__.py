"""Load test of a running service, through HTTP only: it imports nothing of the product.

python -m loadtests.run --help
"""
