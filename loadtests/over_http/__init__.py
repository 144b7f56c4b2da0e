"""The service over HTTP against the same work in one process, in turns on the same core.

python -m loadtests.over_http --help
"""
