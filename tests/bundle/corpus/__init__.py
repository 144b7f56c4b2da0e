"""Attacks on a sound release, a file for each part of it that is attacked."""

from corpus import attributes as attributes
from corpus import bundles as bundles
from corpus import copies as copies
from corpus import deltas as deltas
from corpus import directories as directories
from corpus import documents as documents
from corpus import indexes as indexes
from corpus import published as published
from corpus import towers as towers
from corpus import vocabularies as vocabularies
